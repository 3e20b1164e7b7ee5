// Package fipstest runs tests of a package with GODEBUG=fips140, which a program reads
// when it starts.
package fipstest

import (
	"context"
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limit is when the other process has hung. Its tests have limits of their own, which are
// shorter.
const limit = 2 * time.Minute

// Modes of GODEBUG=fips140 besides "off".
const (
	On   = "on"
	Only = "only"
)

// Child reports whether this process was started by Run with the mode.
func Child(mode string) bool {
	if mode == Only {
		return fips140.Enforced()
	}
	return fips140.Enabled() && !fips140.Enforced()
}

// Run runs top-level tests of this program in another process with GODEBUG=fips140=mode,
// and fails if one of them does.
func Run(t *testing.T, mode string, tests ...string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.v", "-test.run=^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",fips140="+mode, ","))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range tests {
		require.Contains(t, string(out), "--- PASS: "+name+" ", "%s", out)
	}
}
