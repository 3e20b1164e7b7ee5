package linktest

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// resources are what a carrier may leak.
type resources struct {
	goroutines, descriptors, mappings int
}

// snapshot counts what is in use now. Descriptors and mappings are counted where
// /proc tells them.
func snapshot() resources {
	r := resources{goroutines: runtime.NumGoroutine()}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		r.descriptors = len(fds)
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil {
		r.mappings = strings.Count(string(maps), "memfd:sealport")
	}
	return r
}

// check fails the test if there is more than there was. A goroutine that has been
// joined may take a moment to be gone from the count.
func (r resources) check(t *testing.T) {
	t.Helper()
	var now resources
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if now = snapshot(); now.goroutines <= r.goroutines && now.descriptors <= r.descriptors && now.mappings <= r.mappings {
			return
		}
	}
	buf := make([]byte, 64<<10)
	t.Errorf("leak: %+v before, %+v after\n%s", r, now, buf[:runtime.Stack(buf, true)])
}
