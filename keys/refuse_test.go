//go:build linux || darwin

package keys_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/keys/internal/bech32"
)

// What is refused although it is nearly right, and what is accepted although it is nearly
// wrong.

// TestOtherKeysAreNotEqual: nor is a key equal to none.
func TestOtherKeysAreNotEqual(t *testing.T) {
	one, two := fixedKey(t, 1), fixedKey(t, 2)
	require.True(t, one.Equal(fixedKey(t, 1)))
	require.False(t, one.Equal(two))
	require.False(t, one.Public().Equal(two.Public()))
	require.False(t, one.Public().Equal(keys.PublicKey{}))
	require.False(t, keys.PublicKey{}.Equal(one.Public()))

	psk, other := keys.GeneratePreshared(), keys.GeneratePreshared()
	require.True(t, psk.Equal(psk))
	require.False(t, psk.Equal(other))
	require.False(t, psk.Equal(keys.PresharedKey{}))
	require.False(t, keys.PresharedKey{}.Equal(psk))
	require.False(t, psk.IsZero())
	require.True(t, keys.PresharedKey{}.IsZero())
}

// TestNoPublicKeyPrintsNone: 32 zeros are no key that could be copied into a file.
func TestNoPublicKeyPrintsNone(t *testing.T) {
	var none keys.PublicKey
	require.Equal(t, "(no public key)", none.String())
	require.Equal(t, "(no public key)", none.Fingerprint())
}

// TestNameCharacters: exactly these may be in the name of a key.
func TestNameCharacters(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for c := range 256 {
		char := string([]byte{byte(c)})
		first, later := strings.Contains(letters, char), strings.Contains(letters+"._-", char)
		for name, valid := range map[string]bool{char: first, "x" + char: later} {
			if err := keys.CheckName(name); valid {
				require.NoError(t, err, "%q", name)
			} else {
				require.ErrorIs(t, err, keys.ErrKeyName, "%q", name)
			}
		}
	}
}

// TestLockedKeysOfAnySize: a text that is too short for its parts is no locked key.
func TestLockedKeysOfAnySize(t *testing.T) {
	const prefix = "SEALPORT-LOCKED-KEY-"
	good := keys.EncodeLocked(1, 1, 8, 1)
	decoded, err := bech32.Decode(prefix, good)
	require.NoError(t, err)
	for n := range len(decoded) + 20 {
		sized := make([]byte, n)
		copy(sized, decoded)
		_, err := keys.Unlock(bech32.Encode(prefix, sized), []byte("passphrase"))
		if n == len(decoded) {
			require.ErrorIs(t, err, keys.ErrPassphrase)
			continue
		}
		require.ErrorIs(t, err, keys.ErrMalformedKey, "%d bytes", n)
	}
}

// TestCostsAtTheLimit: what may be asked of the reader is asked.
func TestCostsAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		passes, memory uint32
		lanes          byte
		ok             bool
	}{
		{1, 8, 1, true}, {16, 8, 1, true}, {1, 128, 16, true},
		{0, 8, 1, false}, {17, 8, 1, false}, {1, 7, 1, false}, {1, 8, 0, false}, {1, 136, 17, false}, {1, 127, 16, false}, {1, 1<<20 + 1, 1, false},
	} {
		_, err := keys.Unlock(keys.EncodeLocked(1, c.passes, c.memory, c.lanes), []byte("passphrase"))
		if c.ok {
			require.ErrorIs(t, err, keys.ErrPassphrase, "%+v", c)
		} else {
			require.ErrorIs(t, err, keys.ErrMalformedKey, "%+v", c)
		}
	}
}

// brokenStore fails to load or to save.
type brokenStore struct {
	keys.Store
	load, save error
	loads      int
	saves      int
}

func (s *brokenStore) Load(context.Context, string) (keys.PrivateKey, error) {
	s.loads++
	return keys.PrivateKey{}, s.load
}

func (s *brokenStore) Save(context.Context, string, keys.PrivateKey) error {
	s.saves++
	return s.save
}

// TestLoadOrGenerateFails: a key is generated only if there is none, and is used only if
// it was saved.
func TestLoadOrGenerateFails(t *testing.T) {
	broken := errors.New("broken")
	s := &brokenStore{load: broken}
	_, err := keys.LoadOrGenerate(t.Context(), s, "name")
	require.ErrorIs(t, err, broken)
	require.Zero(t, s.saves)

	s = &brokenStore{load: keys.ErrKeyNotFound, save: broken}
	k, err := keys.LoadOrGenerate(t.Context(), s, "name")
	require.ErrorIs(t, err, broken)
	require.True(t, k.IsZero())
	require.Equal(t, 1, s.loads)
}

// TestLockedKeyInAStoreWithoutPassphrase: it says so.
func TestLockedKeyInAStoreWithoutPassphrase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	locking := &keys.FileStore{Dir: dir, Passphrase: func(context.Context, string) ([]byte, error) { return []byte("passphrase"), nil }}
	require.NoError(t, locking.Save(t.Context(), "name", fixedKey(t, 1)))
	_, err := (&keys.FileStore{Dir: dir}).Load(t.Context(), "name")
	require.ErrorIs(t, err, keys.ErrLockedKey)
}

// TestKeyListedTwice: it is one key, also for a message that lists them.
func TestKeyListedTwice(t *testing.T) {
	one, two := fixedKey(t, 1).Public(), fixedKey(t, 2).Public()
	lists, err := keys.ParseAllowFile([]byte(one.String() + "\n" + two.String() + "\n" + one.String() + "\n"))
	require.NoError(t, err)
	require.Equal(t, map[string][]keys.PublicKey{"": {one, two}}, lists)
}

// TestRememberTwice: the file has the key once.
func TestRememberTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	hosts, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, hosts.Remember(t.Context(), "host", fixedKey(t, 1).Public()))
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(content), "\n"))
}

// TestWatchWithoutReports: nobody need be told of a file that cannot be used.
func TestWatchWithoutReports(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	hosts, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("broken\n"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, hosts.Watch(ctx, time.Hour, nil), context.Canceled)
	require.ErrorIs(t, hosts.Verify(t.Context(), "host", fixedKey(t, 1).Public()), keys.ErrTrustFile)
}
