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

// Scenarios of the model, each small enough for a complete search in seconds.
var (
	takerScenario = []string{"-DFRAMES=2", "-DTAKES=1", "-DSPARE=0", "-DDEATHS=0"}
	deathScenario = []string{"-DFRAMES=2", "-DTAKES=0", "-DSPARE=1", "-DDEATHS=1"}
	bothScenario  = []string{"-DFRAMES=1", "-DTAKES=1", "-DSPARE=0", "-DDEATHS=1"}
)

// What Spin finds wrong.
const (
	sleepsForEver = "invalid end state"
	loses         = "assertion violated"
)

func TestModelHolds(t *testing.T) {
	needModelTools(t)
	for name, scenario := range map[string][]string{
		"taker": takerScenario, "death": deathScenario, "both": bothScenario,
	} {
		t.Run(name, func(t *testing.T) {
			out := searchModel(t, scenario, "-O1 -DSAFETY")
			assert.Contains(t, out, "errors: 0")
			assert.NotContains(t, out, "Search not completed")
			assert.Contains(t, out, "invalid end states\t+")
			assert.Contains(t, out, "assertion violations\t+")
		})
	}
}

// Nobody sleeps for ever, and no run is endless: so every run ends, which is what
// "every frame is received" comes to.
func TestModelHasNoEndlessRun(t *testing.T) {
	needModelTools(t)
	out := searchModel(t, bothScenario, "-O1 -DNP", "-l")
	assert.Contains(t, out, "errors: 0")
	assert.NotContains(t, out, "Search not completed")
	assert.Contains(t, out, "non-progress cycles \t+")
}

// A model that can't fail shows nothing: without any one of its parts, the
// protocol breaks.
func TestModelNeedsEachPart(t *testing.T) {
	needModelTools(t)
	for _, row := range []struct {
		without  string
		scenario []string
		want     string
	}{
		{"NO_FENCE_PUBLISH", deathScenario, sleepsForEver},
		{"NO_FENCE_SLEEP", deathScenario, sleepsForEver},
		{"NO_FENCE_RELEASE", deathScenario, sleepsForEver},
		{"NO_FENCE_ROOM", deathScenario, sleepsForEver},
		{"NO_FENCE_TAKEN", takerScenario, sleepsForEver},
		{"NO_RECHECK_SLEEP", deathScenario, sleepsForEver},
		{"NO_RECHECK_ROOM", deathScenario, sleepsForEver},
		{"NO_RECHECK_TAKEN", takerScenario, sleepsForEver},
		{"NO_WAKE_CONSUMER", deathScenario, sleepsForEver},
		{"NO_WAKE_PRODUCER", deathScenario, sleepsForEver},
		{"NO_TOKEN", deathScenario, sleepsForEver},
		{"TAKE_BACK", takerScenario, sleepsForEver},
		{"WAKE_ONE", takerScenario, sleepsForEver},
		{"LATE_STATE", deathScenario, loses},
	} {
		t.Run(row.without, func(t *testing.T) {
			out := searchModel(t, append([]string{"-D" + row.without}, row.scenario...), "-O0 -DSAFETY")
			assert.Contains(t, out, row.want)
			assert.Contains(t, out, "errors: 1")
		})
	}
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
