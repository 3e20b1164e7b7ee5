//go:build linux || darwin

package keys_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// put replaces a file by a rename, as the documentation asks for.
func put(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o644))
	require.NoError(t, os.Rename(path+".new", path))
}

func allowLines(all ...keys.PublicKey) string {
	var b strings.Builder
	b.WriteString("# allowed\n\n")
	for _, k := range all {
		b.WriteString("  " + k.String() + " somebody, somewhere\r\n")
	}
	return b.String()
}

func TestAllowFileFollowsTheFile(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	path := filepath.Join(directory(t), "allowed")
	_, err := keys.OpenAllowFile(path)
	require.ErrorIs(t, err, keys.ErrTrustFile, "missing from the start")
	put(t, path, allowLines(a))
	f, err := keys.OpenAllowFile(path)
	require.NoError(t, err)
	verify := func(k keys.PublicKey) error { return f.Verify(t.Context(), "x", k) }
	require.NoError(t, verify(a))
	requireRefused(t, verify(b), b, path)

	var ofA, ofB, cancelled counter
	f.OnRevoke("x", a, ofA.call)
	f.OnRevoke("y", a, cancelled.call)()

	put(t, path, allowLines(a, b))
	require.NoError(t, verify(b), "added without a restart")
	f.OnRevoke("x", b, ofB.call)

	put(t, path, allowLines(b))
	require.NoError(t, f.Reload())
	require.Equal(t, 1, ofA.calls(), "the line's removal ends the connection")
	require.ErrorIs(t, verify(a), keys.ErrUntrusted)
	require.Zero(t, ofB.calls())

	// Verify of one notices for all.
	put(t, path, allowLines(a))
	require.NoError(t, verify(a))
	require.Equal(t, 1, ofB.calls())

	// An editing mistake admits no peer and disconnects none.
	var live counter
	f.OnRevoke("x", a, live.call)
	put(t, path, allowLines(b)+"sealport1oops\n")
	require.ErrorIs(t, verify(a), keys.ErrTrustFile)
	require.ErrorIs(t, verify(b), keys.ErrUntrusted)
	require.ErrorIs(t, f.Reload(), keys.ErrTrustFile)
	require.Zero(t, live.calls())
	put(t, path, allowLines(a))
	require.NoError(t, verify(a), "mended")
	require.Zero(t, live.calls())

	require.NoError(t, os.Chmod(path, 0o666))
	require.ErrorIs(t, verify(a), keys.ErrInsecureFile)
	require.ErrorIs(t, verify(a), keys.ErrUntrusted)
	require.Zero(t, live.calls())
	require.NoError(t, os.Chmod(path, 0o644))
	require.NoError(t, verify(a))

	// A missing file trusts no key.
	require.NoError(t, os.Remove(path))
	requireRefused(t, verify(a), a, path)
	require.Equal(t, 1, live.calls())
	require.Equal(t, []int{1, 1, 0}, []int{ofA.calls(), ofB.calls(), cancelled.calls()})
}

// TestAllowFileChangedInPlace edits without a rename, to the same size and quickly.
func TestAllowFileChangedInPlace(t *testing.T) {
	path := filepath.Join(directory(t), "allowed")
	put(t, path, allowLines(public(t, 1)))
	f, err := keys.OpenAllowFile(path)
	require.NoError(t, err)
	for i := byte(2); i < 100; i++ {
		require.NoError(t, os.WriteFile(path, []byte(allowLines(public(t, i))), 0o644))
		require.NoError(t, f.Verify(t.Context(), "x", public(t, i)))
		require.ErrorIs(t, f.Verify(t.Context(), "x", public(t, i-1)), keys.ErrUntrusted)
	}
}

func TestAllowFileRefusesBadLines(t *testing.T) {
	for name, line := range map[string]string{
		"secret":          fixedSecret,
		"mistyped":        fixedPublic[:len(fixedPublic)-1] + "q",
		"endpoint first":  "com.example " + fixedPublic,
		"comment behind":  fixedPublic + "# no space before",
		"a line too long": "# " + strings.Repeat("x", 70_000),
	} {
		path := filepath.Join(directory(t), "allowed")
		put(t, path, allowLines(public(t, 1))+line+"\n")
		_, err := keys.OpenAllowFile(path)
		require.ErrorIs(t, err, keys.ErrTrustFile, name)
		require.ErrorIs(t, err, keys.ErrUntrusted, name)
		require.NotContains(t, logged(err), fixedSecret[30:50], "errors do not echo secrets")
		require.Contains(t, logged(err), path)
		require.Equal(t, 1, strings.Count(logged(err), "keys: "), "the package is named once")
	}
	path := filepath.Join(directory(t), "allowed")
	put(t, path, strings.Repeat("#\n", 1<<20))
	_, err := keys.OpenAllowFile(path)
	require.ErrorIs(t, err, keys.ErrTrustFile, "too large")
}

// TestWatch runs on fake time: each look is one interval later.
func TestWatch(t *testing.T) {
	path := filepath.Join(directory(t), "allowed")
	synctest.Test(t, func(t *testing.T) {
		a := public(t, 1)
		put(t, path, allowLines(a))
		f, err := keys.OpenAllowFile(path)
		require.NoError(t, err)
		var revoked, failed, again counter
		f.OnRevoke("x", a, revoked.call)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- f.Watch(ctx, 0, func(err error) {
				if err == nil {
					again.call()
				} else {
					failed.call()
				}
			})
		}()

		time.Sleep(10 * keys.DefaultWatchInterval)
		synctest.Wait()
		require.Zero(t, revoked.calls())
		require.Zero(t, failed.calls()+again.calls())

		put(t, path, "rubbish")
		time.Sleep(keys.DefaultWatchInterval)
		synctest.Wait()
		require.Zero(t, revoked.calls())
		require.Equal(t, 1, failed.calls())

		put(t, path, allowLines())
		time.Sleep(keys.DefaultWatchInterval)
		synctest.Wait()
		require.Equal(t, 1, revoked.calls())
		require.Equal(t, 1, failed.calls())
		require.Equal(t, 1, again.calls())

		time.Sleep(10 * keys.DefaultWatchInterval)
		synctest.Wait()
		require.Equal(t, 2, failed.calls()+again.calls(), "it is told once")

		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

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

func FuzzAllowFile(f *testing.F) {
	f.Add([]byte(allowLines(public(f, 1), public(f, 2))))
	f.Add([]byte("# x"))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := keys.ParseAllowFile(content)
		if err != nil {
			require.ErrorIs(t, err, keys.ErrMalformedKey)
			return
		}
		for endpoint, some := range all {
			require.Empty(t, endpoint)
			for _, k := range some {
				require.Contains(t, string(content), k.String())
			}
		}
	})
}

func FuzzKnownHosts(f *testing.F) {
	f.Add([]byte("# x\ncom.example " + fixedPublic + " comment\n"))
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
		}
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
