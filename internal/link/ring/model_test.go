//go:build linux

package ring_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestModelHolds searches a small scenario: one frame, a death, and no goroutine that
// waits for the ring to be drained. The others are searched with the build tag "long".
func TestModelHolds(t *testing.T) {
	needModelTools(t)
	out := searchModel(t, []string{"-DFRAMES=1", "-DDRAINS=0", "-DSPARE=0", "-DDEATHS=1"}, "-O0 -DSAFETY")
	assertHolds(t, out)
}

// assertHolds checks that Spin has searched all states and found no error.
func assertHolds(t *testing.T, out string) {
	t.Helper()
	assert.Contains(t, out, "errors: 0")
	assert.NotContains(t, out, "Search not completed")
	assert.Contains(t, out, "invalid end states\t+")
	assert.Contains(t, out, "assertion violations\t+")
}

// needModelTools skips where spin or a C compiler is missing, or fails in CI.
func needModelTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("needs %s, which CI installs", tool)
			}
			t.Skipf("needs %s", tool)
		}
	}
}

// searchModel searches every state of the model, compiled with the given
// definitions, and returns what Spin's verifier prints. build is how the compiler
// is called for the verifier, -O0 where an error is found soon, and the rest are
// the verifier's options.
func searchModel(t *testing.T, defines []string, build string, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	model, err := filepath.Abs(filepath.Join("testdata", "wakeup.pml"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
		return string(out)
	}
	run("spin", append(append([]string{"-a"}, defines...), model)...)
	run("gcc", append(strings.Fields(build), "-w", "-DMEMLIM=2000", "-o", "pan", "pan.c")...)
	// -m: how deep it may search; more than any run is long.
	return run("./pan", append([]string{"-m100000"}, options...)...)
}
