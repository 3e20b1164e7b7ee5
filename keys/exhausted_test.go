//go:build linux || darwin

package keys_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// starving calls f while this process has no descriptors left. No test may run beside.
func starving(t *testing.T, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	f()
}

// TestNoDescriptorsIsNoRefusal: a process that cannot read its trust file for want of
// descriptors has not found that a key is not in it.
func TestNoDescriptorsIsNoRefusal(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	dir := directory(t)
	allowed, known := filepath.Join(dir, "allowed"), filepath.Join(dir, "known")
	put(t, allowed, allowLines(a))
	put(t, known, "one "+a.String()+"\n")
	list, err := keys.OpenAllowFile(allowed)
	require.NoError(t, err)
	hosts, err := keys.TrustOnFirstUse(known)
	require.NoError(t, err)
	var lost counter
	list.OnRevoke("x", a, lost.call)
	hosts.OnRevoke("one", a, lost.call)
	put(t, allowed, allowLines(b)) // changed, so that it is read again
	put(t, known, "two "+b.String()+"\n")

	ctx := t.Context()
	failures := make(map[string]error)
	starving(t, func() {
		_, failures["OpenAllowFile"] = keys.OpenAllowFile(allowed)
		_, failures["TrustOnFirstUse"] = keys.TrustOnFirstUse(known)
		failures["AllowFile.Verify"] = list.Verify(ctx, "x", a)
		failures["AllowFile.Reload"] = list.Reload()
		failures["KnownHosts.Verify"] = hosts.Verify(ctx, "one", a)
		failures["KnownHosts.Learn"] = hosts.Learn(ctx, "three", a)
		failures["KnownHosts.Remember"] = hosts.Remember(ctx, "one", b)
		failures["KnownHosts.Forget"] = hosts.Forget(ctx, "one")
		_, failures["LoadFile"] = keys.LoadFile(allowed, nil)
		failures["SaveFile"] = keys.SaveFile(filepath.Join(dir, "key"), keys.Generate(), nil)
		require.Equal(t, []keys.PublicKey{a}, hosts.Expected("one"))
	})
	for name, err := range failures {
		require.ErrorIs(t, err, syscall.EMFILE, name)
		for _, other := range []error{keys.ErrUntrusted, keys.ErrTrustFile, keys.ErrInsecureFile, keys.ErrKeyNotFound} {
			require.NotErrorIs(t, err, other, name)
		}
	}
	require.Zero(t, lost.calls(), "no connection has ended")

	require.NoError(t, list.Verify(ctx, "x", b))
	require.NoError(t, hosts.Verify(ctx, "two", b))
	require.Equal(t, 2, lost.calls())
	content, err := os.ReadFile(known)
	require.NoError(t, err)
	require.Equal(t, "two "+b.String()+"\n", string(content))
}
