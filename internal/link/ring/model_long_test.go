//go:build linux && long

package ring_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Scenarios of the model, each small enough for a complete search in seconds.
var (
	drainScenario = []string{"-DFRAMES=2", "-DDRAINS=1", "-DSPARE=0", "-DDEATHS=0"}
	deathScenario = []string{"-DFRAMES=2", "-DDRAINS=0", "-DSPARE=1", "-DDEATHS=1"}
	bothScenario  = []string{"-DFRAMES=1", "-DDRAINS=1", "-DSPARE=0", "-DDEATHS=1"}
)

// What Spin finds wrong.
const (
	sleepsForEver = "invalid end state"
	loses         = "assertion violated"
)

// TestModelHoldsInAllScenarios searches every state of the three scenarios.
func TestModelHoldsInAllScenarios(t *testing.T) {
	needModelTools(t)
	for name, scenario := range map[string][]string{
		"drain": drainScenario, "death": deathScenario, "both": bothScenario,
	} {
		t.Run(name, func(t *testing.T) {
			out := searchModel(t, scenario, "-O1 -DSAFETY")
			assertHolds(t, out)
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
		{"NO_FENCE_DRAINED", drainScenario, sleepsForEver},
		{"NO_RECHECK_SLEEP", deathScenario, sleepsForEver},
		{"NO_RECHECK_ROOM", deathScenario, sleepsForEver},
		{"NO_RECHECK_DRAINED", drainScenario, sleepsForEver},
		{"NO_WAKE_CONSUMER", deathScenario, sleepsForEver},
		{"NO_WAKE_PRODUCER", deathScenario, sleepsForEver},
		{"NO_TOKEN", deathScenario, sleepsForEver},
		{"TAKE_BACK", drainScenario, sleepsForEver},
		{"WAKE_ONE", drainScenario, sleepsForEver},
		{"LATE_STATE", deathScenario, loses},
	} {
		t.Run(row.without, func(t *testing.T) {
			out := searchModel(t, append([]string{"-D" + row.without}, row.scenario...), "-O0 -DSAFETY")
			assert.Contains(t, out, row.want)
			assert.Contains(t, out, "errors: 1")
		})
	}
}
