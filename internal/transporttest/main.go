package transporttest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
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

func run(m *testing.M) (code int) {
	// The default folder of whoever runs the tests is not for tests.
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
	before := descriptors()
	if code = m.Run(); code == 0 {
		code = leaks(before)
	}
	return code
}

// leaks reports what is left. What ends by itself, such as the last moments of a
// goroutine after it said that it is done, gets time to.
func leaks(before []string) int {
	var left []string
	for begin := time.Now(); time.Since(begin) < 5*time.Second; {
		left = append(append(extra(before, descriptors()), mappings()...), goroutines()...)
		if len(left) == 0 {
			return 0
		}
		runtime.Gosched()
	}
	fmt.Fprintf(os.Stderr, "left behind:\n%s\n", strings.Join(left, "\n"))
	return 1
}

// extra is what is in now and not in before.
func extra(before, now []string) []string {
	left := slices.Clone(before)
	var more []string
	for _, s := range now {
		if i := slices.Index(left, s); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		more = append(more, s)
	}
	return more
}

// descriptors are what the open ones lead to, without those of the runtime.
func descriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var to []string
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The folder itself was open while it was read.
		if err != nil || strings.HasPrefix(link, "anon_inode:[event") || strings.HasPrefix(link, "/proc/") {
			continue
		}
		if strings.HasPrefix(link, "socket:") {
			link = "socket"
		}
		to = append(to, link)
	}
	return to
}

// mappings are the rings still mapped.
func mappings() []string {
	maps, _ := os.ReadFile("/proc/self/maps")
	var left []string
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:sealport") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return left
}

// goroutines are those that run code of this module, the caller's apart.
func goroutines() []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range bytes.Split(buf, []byte("\n\n"))[1:] {
		if bytes.Contains(g, []byte("/sealport/")) && !bytes.Contains(g, []byte("testing.(*M)")) {
			left = append(left, string(g))
		}
	}
	return left
}
