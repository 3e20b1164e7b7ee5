//go:build !linux

package transporttest

import (
	"testing"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// Rings returns the two ends of a link over Mach ports, since there is no shared memory
// here, and what ends each as the death of its process would. size
// does not matter.
func Rings(t testing.TB, _ int) (a, b link.Link, killA, killB func()) {
	t.Helper()
	k := machtest.Open(t)
	// Not every kernel fills in the pidversion.
	host, client := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
	a, b = machlinktest.Pair(t, host, client, "com.example.test.rings")
	return a, b, host.Kill, client.Kill
}
