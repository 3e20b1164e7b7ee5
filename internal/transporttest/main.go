package transporttest

import (
	"fmt"
	"os"
	"testing"

	"github.com/sealport/sealport/internal/leaktest"
)

// Main is a TestMain: it runs the tests and fails if they leave goroutines,
// descriptors or shared memory behind. In a process that the suite started it
// plays that process's part instead.
func Main(m *testing.M, l Layer) {
	if role := os.Getenv(roleVariable); role != "" {
		play(l, role)
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Tests do not use the default directory of the user.
	runtimeDir, err := os.MkdirTemp("", "sealport-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(runtimeDir)
	if err := os.Setenv("XDG_RUNTIME_DIR", runtimeDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leaktest.Run(m)
}
