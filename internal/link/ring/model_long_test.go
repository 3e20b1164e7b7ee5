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
	sleepsForever = "invalid end state"
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

// TestModelHasNoEndlessRun: no process sleeps forever and no run is endless, so
// every run ends, which means that every frame is received.
func TestModelHasNoEndlessRun(t *testing.T) {
	needModelTools(t)
	out := searchModel(t, bothScenario, "-O1 -DNP", "-l")
	assert.Contains(t, out, "errors: 0")
	assert.NotContains(t, out, "Search not completed")
	assert.Contains(t, out, "non-progress cycles \t+")
}

// TestModelNeedsEachPart: without any one of its parts the protocol breaks, and the
// model shows it.
func TestModelNeedsEachPart(t *testing.T) {
	needModelTools(t)
	for _, row := range []struct {
		without  string
		scenario []string
		want     string
	}{
		{"NO_FENCE_PUBLISH", deathScenario, sleepsForever},
		{"NO_FENCE_SLEEP", deathScenario, sleepsForever},
		{"NO_FENCE_RELEASE", deathScenario, sleepsForever},
		{"NO_FENCE_ROOM", deathScenario, sleepsForever},
		{"NO_FENCE_DRAINED", drainScenario, sleepsForever},
		{"NO_RECHECK_SLEEP", deathScenario, sleepsForever},
		{"NO_RECHECK_ROOM", deathScenario, sleepsForever},
		{"NO_RECHECK_DRAINED", drainScenario, sleepsForever},
		{"NO_WAKE_CONSUMER", deathScenario, sleepsForever},
		{"NO_WAKE_PRODUCER", deathScenario, sleepsForever},
		{"NO_TOKEN", deathScenario, sleepsForever},
		{"TAKE_BACK", drainScenario, sleepsForever},
		{"WAKE_ONE", drainScenario, sleepsForever},
		{"LATE_STATE", deathScenario, loses},
	} {
		t.Run(row.without, func(t *testing.T) {
			out := searchModel(t, append([]string{"-D" + row.without}, row.scenario...), "-O0 -DSAFETY")
			assert.Contains(t, out, row.want)
			assert.Contains(t, out, "errors: 1")
		})
	}
}
