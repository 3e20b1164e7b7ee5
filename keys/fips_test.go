package keys_test

import (
	"context"
	"crypto/fips140"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/fips/fipstest"
	"github.com/sealport/sealport/keys"
)

// In a program with GODEBUG=fips140=only everything that concerns a private key says why
// it is unsupported. Nothing panics, no key counts as malformed, and nothing is asked
// for or written.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Child(fipstest.Only) {
		fipstest.Run(t, fipstest.Only, "TestFIPSOnly")
		return
	}
	ctx, dir, secret := t.Context(), t.TempDir(), []byte("correct horse")
	asked := func() ([]byte, error) {
		t.Error("a passphrase was asked for")
		return nil, nil
	}
	plain, locked, absent := filepath.Join(dir, "private", "plain.key"), filepath.Join(dir, "private", "locked.key"), filepath.Join(dir, "private", "absent.key")
	var key keys.PrivateKey
	var lockedText string
	fips140.WithoutEnforcement(func() {
		var err error
		key = keys.Generate()
		lockedText, err = keys.Lock(key, secret)
		require.NoError(t, errors.Join(err, keys.SaveFile(plain, key, nil), keys.SaveFile(locked, key, secret)))
	})
	require.False(t, key.IsZero())
	store := &keys.FileStore{Dir: filepath.Dir(plain), Passphrase: func(context.Context, string) ([]byte, error) { return asked() }}
	for name, use := range map[string]func() error{
		"NewPrivateKey": func() error {
			_, err := keys.NewPrivateKey(make([]byte, 32))
			return err
		},
		"ParsePrivateKey": func() error {
			_, err := keys.ParsePrivateKey(key.RevealSecretText())
			return err
		},
		"SharedSecret": func() error {
			_, err := key.SharedSecret(key.Public())
			return err
		},
		"Lock": func() error {
			_, err := keys.Lock(key, secret)
			return err
		},
		"Unlock": func() error {
			_, err := keys.Unlock(lockedText, secret)
			return err
		},
		"LoadFile": func() error {
			_, err := keys.LoadFile(plain, nil)
			return err
		},
		"LoadFile of a locked key": func() error {
			_, err := keys.LoadFile(locked, asked)
			return err
		},
		"LoadOrGenerate": func() error {
			_, err := keys.LoadOrGenerate(ctx, store, "absent")
			return err
		},
		"FileStore.Load": func() error {
			_, err := store.Load(ctx, "locked")
			return err
		},
		"FileStore.Save":                    func() error { return store.Save(ctx, "absent", key) },
		"FileStore.Replace":                 func() error { return store.Replace(ctx, "plain", key) },
		"SaveFile":                          func() error { return keys.SaveFile(absent, key, nil) },
		"SaveFile of what Generate returns": func() error { return keys.SaveFile(absent, keys.Generate(), nil) },
	} {
		err := use()
		assert.ErrorIs(t, err, errors.ErrUnsupported, name)
		assert.NotErrorIs(t, err, keys.ErrMalformedKey, name)
		assert.NotErrorIs(t, err, keys.ErrNoKey, name)
	}
	require.True(t, keys.Generate().IsZero())
	require.NoFileExists(t, absent)

	// What contains no private key works.
	public, err := keys.ParsePublicKey(key.Public().String())
	require.NoError(t, err)
	require.NotEmpty(t, public.Fingerprint())
	require.NoError(t, keys.Allow(public).Verify(ctx, "", public))
	shared, err := keys.ParsePreshared(keys.GeneratePreshared().RevealSecretText())
	require.NoError(t, err)
	require.False(t, shared.IsZero())
	require.NoError(t, store.Delete(ctx, "plain"))
}

// With GODEBUG=fips140=on everything works.
func TestFIPSOn(t *testing.T) {
	if !fipstest.Child(fipstest.On) {
		fipstest.Run(t, fipstest.On, "TestFIPSOn", "TestFileStore", "TestLockAndUnlock", "TestLoadOrGenerate", "TestSharedSecretAgrees")
	}
}
