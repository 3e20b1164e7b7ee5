//go:build linux || darwin

package keys_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

func TestTrustOnFirstUse(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	path := filepath.Join(directory(t), "new", "known_hosts")
	h, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	require.Empty(t, h.Expected("one"))
	require.NoError(t, h.Verify(t.Context(), "one", b), "remembers nothing")
	require.NoFileExists(t, path)
	require.NoError(t, h.Verify(t.Context(), "one", a))
	require.NoError(t, h.Learn(t.Context(), "one", a), "first use")
	require.NoError(t, h.Learn(t.Context(), "one", a))
	require.NoError(t, h.Verify(t.Context(), "one", a))
	require.NoError(t, h.Learn(t.Context(), "two", b), "another endpoint")
	require.ErrorIs(t, h.Learn(t.Context(), "one", b), keys.ErrKeyChanged)
	require.Equal(t, []keys.PublicKey{a}, h.Expected("one"))

	err = h.Verify(t.Context(), "one", b)
	require.ErrorIs(t, err, keys.ErrKeyChanged)
	require.ErrorIs(t, err, keys.ErrUntrusted)
	var changed *keys.KeyChangedError
	require.ErrorAs(t, err, &changed)
	require.Equal(t, keys.KeyChangedError{Endpoint: "one", Known: []keys.PublicKey{a}, Got: b, Path: path}, *changed)
	requireRefused(t, err, b, path)

	// It is remembered by the file, not by the process.
	again, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	require.ErrorIs(t, again.Verify(t.Context(), "one", b), keys.ErrKeyChanged)
	require.NoError(t, again.Verify(t.Context(), "one", a))
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, fi.Mode().Perm())

	// Rotation: the next key beside the current one.
	require.NoError(t, again.Remember(t.Context(), "one", b))
	require.NoError(t, again.Remember(t.Context(), "one", b))
	require.NoError(t, h.Verify(t.Context(), "one", b))
	require.NoError(t, h.Verify(t.Context(), "one", a))
	require.Equal(t, []keys.PublicKey{a, b}, h.Expected("one"))
	require.ErrorAs(t, h.Verify(t.Context(), "one", public(t, 3)), &changed)
	require.Len(t, changed.Known, 2)

	// Forgetting ends connections, here and (when it looks) elsewhere.
	var here, elsewhere, two counter
	again.OnRevoke("one", a, here.call)
	h.OnRevoke("one", a, elsewhere.call)
	h.OnRevoke("two", b, two.call)
	require.NoError(t, again.Forget(t.Context(), "one"))
	require.NoError(t, again.Forget(t.Context(), "one"))
	require.Equal(t, 1, here.calls())
	require.NoError(t, h.Reload())
	require.Equal(t, 1, elsewhere.calls())
	require.Zero(t, two.calls())
	require.NoError(t, h.Verify(t.Context(), "two", b))

	var notThere counter
	h.OnRevoke("one", a, notThere.call)
	require.Equal(t, 1, notThere.calls())
	require.NoError(t, h.Verify(t.Context(), "one", public(t, 3)), "a first use again")
}

func TestKnownHostsKeepsWhatItDoesNotKnow(t *testing.T) {
	a := public(t, 1)
	path := filepath.Join(directory(t), "known_hosts")
	put(t, path, "# mine\n\none "+a.String()+" office\ntwo "+a.String()) // no newline at the end
	h, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	require.NoError(t, h.Learn(t.Context(), "three", a))
	require.NoError(t, h.Forget(t.Context(), "two"))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "# mine\n\none "+a.String()+" office\nthree "+a.String()+"\n", strings.TrimRight(string(content), "\n")+"\n")
}

// TestKnownHostsOfOthers: who could read the file still can.
func TestKnownHostsOfOthers(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o644, 0o604} {
		path := filepath.Join(directory(t), "known")
		put(t, path, "")
		require.NoError(t, os.Chmod(path, mode))
		h, err := keys.TrustOnFirstUse(path)
		require.NoError(t, err)
		require.NoError(t, h.Learn(t.Context(), "one", public(t, 1)))
		require.NoError(t, h.Forget(t.Context(), "one"))
		fi, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, fi.Mode().Perm())
	}
}

// TestKnownHostsBehindALink: the file that a link leads to is changed, under one lock
// for all its names. If it is not there now, as on a disk that is not mounted, hosts are
// not remembered elsewhere.
func TestKnownHostsBehindALink(t *testing.T) {
	ctx, a, b := t.Context(), public(t, 1), public(t, 2)
	dir := directory(t)
	far := filepath.Join(dir, "disk")
	require.NoError(t, os.Mkdir(far, 0o700))
	link, file := filepath.Join(dir, "known"), filepath.Join(far, "known")
	require.NoError(t, os.Symlink("disk/known", link))
	h, err := keys.TrustOnFirstUse(link)
	require.NoError(t, err)
	direct, err := keys.TrustOnFirstUse(file)
	require.NoError(t, err)
	require.NoError(t, h.Learn(ctx, "one", a))
	require.NoError(t, direct.Learn(ctx, "two", a))
	require.NoError(t, h.Verify(ctx, "two", a))
	require.ErrorIs(t, direct.Verify(ctx, "one", b), keys.ErrKeyChanged)
	require.NoError(t, h.Forget(ctx, "one"))
	require.NoError(t, direct.Verify(ctx, "one", b))
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "disk/known", target)

	unlock := lock(t, file+".lock")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, h.Learn(ended, "three", a), context.Canceled)
	unlock()

	require.NoError(t, os.Rename(far, far+".away"))
	require.ErrorIs(t, h.Learn(ctx, "two", b), fs.ErrNotExist)
	require.NoError(t, os.Rename(far+".away", far))
	require.ErrorIs(t, h.Verify(ctx, "two", b), keys.ErrKeyChanged)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestKnownHostsRefuses(t *testing.T) {
	a := public(t, 1)
	dir := directory(t)
	path := filepath.Join(dir, "known_hosts")
	h, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	for _, endpoint := range []string{"", "a b", "a\nb", "#a"} {
		require.ErrorIs(t, h.Verify(t.Context(), endpoint, a), keys.ErrKeyName)
		require.ErrorIs(t, h.Learn(t.Context(), endpoint, a), keys.ErrKeyName)
	}
	require.ErrorIs(t, h.Verify(t.Context(), "one", keys.PublicKey{}), keys.ErrNoKey)
	require.ErrorIs(t, h.Learn(t.Context(), "one", keys.PublicKey{}), keys.ErrNoKey)
	require.NoError(t, h.Learn(t.Context(), "one", a))

	for name, content := range map[string]string{
		"no key":       "one\n",
		"secret":       "one " + fixedSecret + "\n",
		"bad endpoint": "o/ne " + a.String() + "\n",
	} {
		put(t, path, content)
		require.ErrorIs(t, h.Verify(t.Context(), "one", a), keys.ErrTrustFile, name)
		require.ErrorIs(t, h.Verify(t.Context(), "new", a), keys.ErrTrustFile, name)
		require.ErrorIs(t, h.Learn(t.Context(), "new", a), keys.ErrTrustFile, name)
		require.ErrorIs(t, h.Remember(t.Context(), "new", a), keys.ErrTrustFile, name)
		require.ErrorIs(t, h.Forget(t.Context(), "one"), keys.ErrTrustFile, name)
		_, err := keys.TrustOnFirstUse(path)
		require.ErrorIs(t, err, keys.ErrTrustFile, name)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(left), "an unusable file is left unchanged")
	}

	put(t, path, "one "+a.String()+"\n")
	require.NoError(t, os.Chmod(path, 0o622))
	require.ErrorIs(t, h.Verify(t.Context(), "one", a), keys.ErrInsecureFile)
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorIs(t, h.Learn(t.Context(), "new", a), keys.ErrInsecureFile)
}

// TestFirstUseObeysItsContext: another process that holds the lock does not hold
// this one beyond its context.
func TestFirstUseObeysItsContext(t *testing.T) {
	path := filepath.Join(directory(t), "known_hosts")
	h, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unlock := lock(t, path+".lock")
	require.ErrorIs(t, h.Learn(ctx, "one", public(t, 1)), context.Canceled)
	unlock()
	require.NoError(t, h.Learn(t.Context(), "one", public(t, 1)))
	require.NoError(t, h.Learn(ctx, "one", public(t, 1)), "a known host needs no lock")
}

// TestFirstUseAtTheSameTime has many programs meet an endpoint, which shows each
// another key: one of the keys wins, for all.
func TestFirstUseAtTheSameTime(t *testing.T) {
	path := filepath.Join(directory(t), "known_hosts")
	var wg sync.WaitGroup
	var trusted counter
	for i := range byte(8) {
		h, err := keys.TrustOnFirstUse(path)
		require.NoError(t, err)
		wg.Go(func() {
			if h.Learn(t.Context(), "one", public(t, i+1)) == nil {
				trusted.call()
			}
			if err := h.Learn(t.Context(), "own-"+string('a'+rune(i)), public(t, i+1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, trusted.calls())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 9, strings.Count(string(content), "\n"), "no line was lost")
}

// TestFirstUseByProcesses is the same with processes: the file, not the program, is
// what they share.
func TestFirstUseByProcesses(t *testing.T) {
	if path := os.Getenv("SEALPORT_TEST_KNOWN_HOSTS"); path != "" { // the child
		h, err := keys.TrustOnFirstUse(path)
		require.NoError(t, err)
		require.NoError(t, h.Learn(t.Context(), "one", keys.Generate().Public()))
		return
	}
	path := filepath.Join(directory(t), "known_hosts")
	var children []*exec.Cmd
	for range 4 {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFirstUseByProcesses$")
		c.Env = append(os.Environ(), "SEALPORT_TEST_KNOWN_HOSTS="+path)
		require.NoError(t, c.Start())
		children = append(children, c)
	}
	trusted := 0
	for _, c := range children {
		err := c.Wait()
		var exit *exec.ExitError
		if err == nil {
			trusted++
		} else {
			require.ErrorAs(t, err, &exit)
		}
	}
	require.Equal(t, 1, trusted)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(content), "\n"))
}

func FuzzKnownHosts(f *testing.F) {
	f.Add([]byte("# x\ncom.example " + fixedPublic + " comment\n"))
	f.Add([]byte("one " + fixedPublic + "\r\n\ttwo\t" + fixedPublic + "\none " + fixedPublic + "\r"))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := keys.ParseKnownHosts(content)
		if err != nil {
			require.True(t, errors.Is(err, keys.ErrMalformedKey) || errors.Is(err, keys.ErrKeyName), "%v", err)
			return
		}
		for endpoint, some := range all {
			require.NoError(t, keys.CheckName(endpoint))
			require.NotEmpty(t, some)
			for _, k := range some {
				require.Contains(t, string(content), k.String())
			}

			// Without it the rest is as it was.
			rest := maps.Clone(all)
			delete(rest, endpoint)
			fewer, err := keys.ParseKnownHosts(keys.RemoveHost(content, endpoint))
			require.NoError(t, err)
			require.Equal(t, rest, fewer)
		}

		// With a line more it has a key more.
		const another = "a.host.of.the.test"
		key := public(t, 9)
		edited, err := keys.AppendHost(content, another, key)
		require.NoError(t, err)
		more, err := keys.ParseKnownHosts(edited)
		require.NoError(t, err)
		all[another] = append(all[another], key)
		require.Equal(t, all, more)
	})
}

// lock holds the lock file of known hosts, as another process would.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	return func() { require.NoError(t, f.Close()) }
}
