//go:build linux || darwin

package keys_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// directory returns a private directory without symbolic links in its name.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

func passphrase(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func TestLockAndUnlock(t *testing.T) {
	k := keys.Generate()
	text, err := keys.Lock(k, []byte("correct horse"))
	require.NoError(t, err)
	require.True(t, keys.IsLocked(text))
	require.False(t, keys.IsLocked(k.RevealSecretText()))
	again, err := keys.Unlock(text, []byte("correct horse"))
	require.NoError(t, err)
	require.True(t, k.Equal(again))
	for _, wrong := range []string{"", "correct hors", "correct horse ", "Correct horse"} {
		_, err = keys.Unlock(text, []byte(wrong))
		require.ErrorIs(t, err, keys.ErrPassphrase)
	}
	other, err := keys.Lock(k, []byte("correct horse"))
	require.NoError(t, err)
	require.NotEqual(t, text, other, "salt and nonce are fresh")

	_, err = keys.Lock(k, nil)
	require.ErrorIs(t, err, keys.ErrPassphrase)
	_, err = keys.Lock(keys.PrivateKey{}, []byte("x"))
	require.ErrorIs(t, err, keys.ErrNoKey)
}

// TestUnlockWithDefaultCost pins the format, and what a guess at a passphrase
// costs. It is the one test that pays for it.
func TestUnlockWithDefaultCost(t *testing.T) {
	k, err := keys.Unlock(lockedFixed, []byte("correct horse"))
	require.NoError(t, err)
	require.True(t, k.Equal(fixedKey(t, 0x42)))

	passes, memory, lanes, err := keys.LockedCost(lockedFixed)
	require.NoError(t, err)
	require.Equal(t, []uint32{3, 64 << 10, 4}, []uint32{passes, memory, uint32(lanes)})
	defaultPasses, defaultMemory, defaultLanes := keys.DefaultCost()
	require.Equal(t, []uint32{passes, memory, uint32(lanes)}, []uint32{defaultPasses, defaultMemory, uint32(defaultLanes)})
}

// lockedFixed is fixedKey(0x42) under "correct horse".
const lockedFixed = "SEALPORT-LOCKED-KEY-1QYQQQQQRQQQSQQQYSTKTV54NG5GL60QPPAFZ7N2CF2PVJ33HRGMGPJANLWGJ0VKHU4G0HJFED57XA2US496S4CUM2MNH5HXMNNH9NQ2DC6YPFLCLAJVHLFGMTMRRNH4A2CMHD6EY6WWGE8L6FTATRKK0AXWNZH9GMU5"

func TestUnlockBoundsItsCost(t *testing.T) {
	for name, text := range map[string]string{
		"version":       keys.EncodeLocked(2, 1, 64, 1),
		"no passes":     keys.EncodeLocked(1, 0, 64, 1),
		"many passes":   keys.EncodeLocked(1, 17, 64, 1),
		"all passes":    keys.EncodeLocked(1, 1<<32-1, 64, 1),
		"no memory":     keys.EncodeLocked(1, 1, 0, 1),
		"little memory": keys.EncodeLocked(1, 1, 15, 2),
		"much memory":   keys.EncodeLocked(1, 1, 1<<20+1, 1),
		"all memory":    keys.EncodeLocked(1, 1, 1<<32-1, 1),
		"no lanes":      keys.EncodeLocked(1, 1, 64, 0),
		"many lanes":    keys.EncodeLocked(1, 1, 1024, 17),
	} {
		_, err := keys.Unlock(text, []byte("x"))
		require.ErrorIs(t, err, keys.ErrMalformedKey, name)
	}
	_, err := keys.Unlock(keys.EncodeLocked(1, 1, 64, 1), []byte("x"))
	require.ErrorIs(t, err, keys.ErrPassphrase)
}

func TestSaveAndLoadFile(t *testing.T) {
	dir := filepath.Join(directory(t), "new", "keys")
	k := keys.Generate()

	plain := filepath.Join(dir, "plain")
	require.NoError(t, keys.SaveFile(plain, k, nil))
	got, err := keys.LoadFile(plain, func() ([]byte, error) { t.Error("asked without need"); return nil, nil })
	require.NoError(t, err)
	require.True(t, k.Equal(got))
	for path, mode := range map[string]os.FileMode{plain: 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		fi, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, fi.Mode().Perm(), path)
	}

	require.ErrorIs(t, keys.SaveFile(plain, keys.Generate(), nil), keys.ErrKeyExists)
	got, err = keys.LoadFile(plain, nil)
	require.NoError(t, err)
	require.True(t, k.Equal(got), "the old key is still there")

	locked := filepath.Join(dir, "locked")
	require.NoError(t, keys.SaveFile(locked, k, []byte("secret")))
	content, err := os.ReadFile(locked)
	require.NoError(t, err)
	require.NotContains(t, string(content), k.RevealSecretText())
	require.Contains(t, string(content), k.Public().String())
	got, err = keys.LoadFile(locked, passphrase("secret"))
	require.NoError(t, err)
	require.True(t, k.Equal(got))
	_, err = keys.LoadFile(locked, passphrase("wrong"))
	require.ErrorIs(t, err, keys.ErrPassphrase)
	_, err = keys.LoadFile(locked, nil)
	require.ErrorIs(t, err, keys.ErrLockedKey)
	why := errors.New("user went away")
	_, err = keys.LoadFile(locked, func() ([]byte, error) { return nil, why })
	require.ErrorIs(t, err, why)

	_, err = keys.LoadFile(filepath.Join(dir, "none"), nil)
	require.ErrorIs(t, err, keys.ErrKeyNotFound)
	require.ErrorIs(t, keys.SaveFile(filepath.Join(dir, "zero"), keys.PrivateKey{}, nil), keys.ErrNoKey)
}

// TestPathsOfKeyFiles: what is written can be read and deleted by the same path, and
// nothing but a file is deleted.
func TestPathsOfKeyFiles(t *testing.T) {
	dir := directory(t)
	k := keys.Generate()
	for _, path := range []string{filepath.Join(dir, "new", "key") + "/", dir + "/./other/..//second", dir + "/third/."} {
		require.NoError(t, keys.SaveFile(path, k, nil))
		got, err := keys.LoadFile(path, nil)
		require.NoError(t, err, path)
		require.True(t, k.Equal(got))
	}
	s := &keys.FileStore{Dir: dir}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a.key"), 0o700))
	require.Error(t, s.Delete(t.Context(), "a"))
	require.DirExists(t, filepath.Join(dir, "a.key"))
	require.NoError(t, os.Symlink("second", filepath.Join(dir, "b.key")))
	require.NoError(t, s.Replace(t.Context(), "b", keys.Generate()))
	got, err := keys.LoadFile(filepath.Join(dir, "second"), nil)
	require.NoError(t, err)
	require.False(t, k.Equal(got), "it is replaced where the link leads")
	require.NoError(t, s.Delete(t.Context(), "b"))
	require.FileExists(t, filepath.Join(dir, "second"))
}

func TestInsecureKeyFiles(t *testing.T) {
	dir := directory(t)
	path := filepath.Join(dir, "key")
	require.NoError(t, keys.SaveFile(path, keys.Generate(), nil))
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o644, 0o666} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := keys.LoadFile(path, nil)
		require.ErrorIs(t, err, keys.ErrInsecureFile, "%o", mode)
	}
	require.NoError(t, os.Chmod(path, 0o600))

	require.NoError(t, os.Chmod(dir, 0o755))
	require.ErrorIs(t, keys.SaveFile(filepath.Join(dir, "other"), keys.Generate(), nil), keys.ErrInsecureFile)
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err := keys.LoadFile(path, nil)
	require.ErrorIs(t, err, keys.ErrInsecureFile, "others can replace it")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestMalformedKeyFiles(t *testing.T) {
	dir := directory(t)
	for name, tc := range map[string]struct {
		content string
		want    error
	}{
		"empty":     {"", keys.ErrMalformedKey},
		"comment":   {"# nothing\n", keys.ErrMalformedKey},
		"two":       {fixedSecret + "\n" + fixedSecret + "\n", keys.ErrMalformedKey},
		"public":    {fixedPublic, keys.ErrNotSecretKey},
		"rubbish":   {"\x00\x01\x02", keys.ErrMalformedKey},
		"long line": {strings.Repeat("x", 15<<10), keys.ErrMalformedKey},
	} {
		path := filepath.Join(dir, "key")
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o600))
		_, err := keys.LoadFile(path, nil)
		require.ErrorIs(t, err, tc.want, name)
		require.NotContains(t, logged(err), "xxxx")
		require.Contains(t, logged(err), path)
		require.Equal(t, 1, strings.Count(logged(err), "keys: "), "the package is named once")
	}
	path := filepath.Join(dir, "spaces")
	require.NoError(t, os.WriteFile(path, []byte("\r\n  # x\n\n  "+fixedSecret+"\t\r\n"), 0o600))
	k, err := keys.LoadFile(path, nil)
	require.NoError(t, err)
	require.True(t, k.Equal(fixedKey(t, 0x42)))

	require.NoError(t, os.WriteFile(path, make([]byte, 17<<10), 0o600))
	_, err = keys.LoadFile(path, nil)
	require.Error(t, err)
}

func TestFileStore(t *testing.T) {
	for _, tc := range []struct {
		name  string
		store *keys.FileStore
	}{
		{"plain", &keys.FileStore{}},
		{"locked", &keys.FileStore{Passphrase: func(_ context.Context, name string) ([]byte, error) { return []byte("pass " + name), nil }}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, s := t.Context(), tc.store
			s.Dir = filepath.Join(directory(t), "keys")
			_, err := s.Load(ctx, "com.example.greeter")
			require.ErrorIs(t, err, keys.ErrKeyNotFound)
			require.ErrorIs(t, s.Delete(ctx, "com.example.greeter"), keys.ErrKeyNotFound)
			current, next := keys.Generate(), keys.Generate()
			require.ErrorIs(t, s.Replace(ctx, "com.example.greeter", current), keys.ErrKeyNotFound)

			// A rotation: see docs/HANDSHAKE.md.
			require.NoError(t, s.Save(ctx, "com.example.greeter", current))
			require.ErrorIs(t, s.Save(ctx, "com.example.greeter", next), keys.ErrKeyExists)
			require.NoError(t, s.Save(ctx, "com.example.greeter.next", next))
			got, err := s.Load(ctx, "com.example.greeter")
			require.NoError(t, err)
			require.True(t, got.Equal(current))
			require.NoError(t, s.Replace(ctx, "com.example.greeter", next))
			require.NoError(t, s.Delete(ctx, "com.example.greeter.next"))
			got, err = s.Load(ctx, "com.example.greeter")
			require.NoError(t, err)
			require.True(t, got.Equal(next))
		})
	}
	s := &keys.FileStore{Dir: directory(t), Passphrase: func(context.Context, string) ([]byte, error) { return nil, nil }}
	require.ErrorIs(t, s.Save(t.Context(), "x", keys.Generate()), keys.ErrPassphrase, "an empty passphrase is not none")
}

func TestFileStoreNames(t *testing.T) {
	s := &keys.FileStore{Dir: directory(t)}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/a", ".a", "-a", "a b", "a\x00", "ä", strings.Repeat("a", 128)} {
		_, err := s.Load(t.Context(), name)
		require.ErrorIs(t, err, keys.ErrKeyName, name)
		require.ErrorIs(t, s.Save(t.Context(), name, keys.Generate()), keys.ErrKeyName)
		require.ErrorIs(t, s.Replace(t.Context(), name, keys.Generate()), keys.ErrKeyName)
		require.ErrorIs(t, s.Delete(t.Context(), name), keys.ErrKeyName)
	}
	for _, name := range []string{"a", "0", "a.b_c-d", strings.Repeat("a", 127)} {
		require.NoError(t, keys.CheckName(name))
	}
}

func TestFileStoreDefaultDir(t *testing.T) {
	home := directory(t)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	dir, err := keys.DefaultDir()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(dir, home))
	require.Equal(t, "sealport", filepath.Base(dir))
	var s keys.FileStore
	require.NoError(t, s.Save(t.Context(), "a", keys.Generate()))
	path, err := s.Path("a")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "keys", "a.key"), path)
	require.FileExists(t, path)
}

// TestLoadOrGenerate lets many ask at once: all must get the same key.
func TestLoadOrGenerate(t *testing.T) {
	s := &keys.FileStore{Dir: filepath.Join(directory(t), "keys")}
	got := make(chan keys.PrivateKey)
	for range 8 {
		go func() {
			k, err := keys.LoadOrGenerate(t.Context(), s, "a")
			if err != nil {
				t.Error(err)
			}
			got <- k
		}()
	}
	first := <-got
	for range 7 {
		require.True(t, first.Equal(<-got))
	}
	_, err := keys.LoadOrGenerate(t.Context(), s, "../a")
	require.ErrorIs(t, err, keys.ErrKeyName)
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte("# comment\n" + fixedSecret + "\n"))
	f.Add([]byte(lockedFixed))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := keys.ParseKeyFile(content)
		if err != nil {
			require.ErrorIs(t, err, keys.ErrMalformedKey)
			return
		}
		require.Contains(t, string(content), k.RevealSecretText())
	})
}

// FuzzUnlock feeds a locked key whose checksum is right and whose content is not.
func FuzzUnlock(f *testing.F) {
	f.Add(byte(1), uint32(1), uint32(64), byte(1))
	f.Fuzz(func(t *testing.T, version byte, passes, memory uint32, lanes byte) {
		if passes > 2 && passes < 17 || memory > 256 && memory < 1<<20+1 {
			return // accepted, and slow
		}
		_, err := keys.Unlock(keys.EncodeLocked(version, passes, memory, lanes), []byte("x"))
		if !errors.Is(err, keys.ErrMalformedKey) {
			require.ErrorIs(t, err, keys.ErrPassphrase)
		}
	})
}

// TestAcceptedAccess has key files that others can read, as containers provide them.
func TestAcceptedAccess(t *testing.T) {
	dir := directory(t)
	k := keys.Generate()
	s := &keys.FileStore{Dir: dir}
	require.NoError(t, s.Save(t.Context(), "a", k))
	path, err := s.Path("a")
	require.NoError(t, err)
	load := func(accepted ...keys.Access) error {
		got, err := keys.LoadFile(path, nil, accepted...)
		if err == nil {
			require.True(t, k.Equal(got))
		}
		store := &keys.FileStore{Dir: dir, Accepted: accepted}
		_, storeErr := store.Load(t.Context(), "a")
		require.Equal(t, err == nil, storeErr == nil)
		return err
	}
	fi, err := os.Stat(path)
	require.NoError(t, err)
	gid := int(fi.Sys().(*syscall.Stat_t).Gid)

	require.NoError(t, os.Chmod(path, 0o640))
	require.ErrorIs(t, load(), keys.ErrInsecureFile)
	require.ErrorIs(t, load(keys.Access{}, keys.GroupMayRead(gid+1)), keys.ErrInsecureFile)
	require.NoError(t, load(keys.GroupMayRead(gid+1), keys.GroupMayRead(gid)))
	require.NoError(t, load(keys.EveryoneMayRead()))

	require.NoError(t, os.Chmod(path, 0o444))
	require.ErrorIs(t, load(keys.GroupMayRead(gid)), keys.ErrInsecureFile)
	require.NoError(t, load(keys.EveryoneMayRead()))

	// A key that replaces it is for this user only.
	require.NoError(t, s.Replace(t.Context(), "a", k))
	require.NoError(t, load())

	// Nothing lets others write.
	for _, mode := range []os.FileMode{0o620, 0o602, 0o646, 0o664} {
		require.NoError(t, os.Chmod(path, mode))
		require.ErrorIs(t, load(keys.EveryoneMayRead(), keys.GroupMayRead(gid)), keys.ErrInsecureFile, "%o", mode)
	}
	require.Panics(t, func() { keys.GroupMayRead(-1) })
	if none := int64(1)<<32 - 1; int64(int(none)) == none { // not in 32 bits
		require.Panics(t, func() { keys.GroupMayRead(int(none)) })
	}
}
