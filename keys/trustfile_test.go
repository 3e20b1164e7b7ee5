//go:build linux || darwin

package keys_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
