//go:build !race

package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// TestFullKnownHosts: a file is filled up to the largest size that is read, and no further.
func TestFullKnownHosts(t *testing.T) {
	const most = 1 << 20
	path := filepath.Join(t.TempDir(), "known")
	key := fixedKey(t, 1).Public()
	full := strings.Repeat("# "+strings.Repeat("x", 9997)+"\n", most/10_000+1)
	full = full[:most-len("host "+key.String()+"\n")-1] + "\n"
	require.NoError(t, os.WriteFile(path, []byte(full), 0o600))
	hosts, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	require.NoError(t, hosts.Learn(t.Context(), "host", key))
	require.NoError(t, hosts.Verify(t.Context(), "host", key))
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, most, before.Size())
	require.ErrorIs(t, hosts.Learn(t.Context(), "other", key), keys.ErrTrustFile)
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "it is as it was")
	require.NoError(t, hosts.Verify(t.Context(), "host", key))
}
