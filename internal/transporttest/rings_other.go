//go:build !linux

package transporttest

import (
	"testing"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

// Rings returns the two ends of a link within the process, since there is no
// shared memory here, and what ends each as the death of its process would. size
// does not matter.
func Rings(t testing.TB, _ int) (a, b link.Link, killA, killB func()) {
	t.Helper()
	x, y := mem.Pair()
	return x, y, x.Kill, y.Kill
}
