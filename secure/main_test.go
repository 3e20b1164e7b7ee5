package secure_test

import (
	"os"
	"testing"

	"github.com/sealport/sealport/internal/transporttest"
)

// A process of this package's own tests says so; those of the suite are the
// suite's.
func TestMain(m *testing.M) {
	if role := os.Getenv("SEALPORT_SECURE_ROLE"); role != "" {
		play(role)
	}
	if name := os.Getenv(benchCarrier); name != "" {
		benchProcess(name)
	}
	transporttest.Main(m, layer)
}
