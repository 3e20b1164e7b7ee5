// Package leaktest makes tests fail that leave goroutines, descriptors or shared
// memory behind.
package leaktest

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

// settleTime is how long resources have to be released after the code that used
// them has returned: a goroutine that has been joined takes a moment to be gone.
var settleTime = 20 * time.Second

// Main is a TestMain: it runs the tests and fails if they leave something behind.
// It does not return.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do: it returns the exit code.
func Run(m *testing.M) int {
	before := Take()
	code := m.Run()
	if code != 0 {
		return code
	}
	if left := before.Left(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left behind:\n%s\n", strings.Join(left, "\n"))
		return 1
	}
	return 0
}

// Check fails the test if it leaves something behind that was not there before
// Check was called. It is for tests that do not run in parallel with others.
func Check(t testing.TB) {
	t.Helper()
	before := Take()
	t.Cleanup(func() {
		for _, s := range before.Left() {
			t.Errorf("left behind: %s", s)
		}
	})
}

// Resources are what a process uses at one time.
type Resources struct {
	goroutines, descriptors, mappings []string
}

// Take returns what is in use now. Descriptors are counted where /proc or, on Darwin,
// /dev/fd lists them, mappings where there is a /proc.
func Take() Resources {
	return Resources{goroutines(), Descriptors(), Mappings()}
}

// Left returns what is in use now and was not at the time of r. It waits up to 20
// seconds for that to be nothing.
func (r Resources) Left() (left []string) {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		now := Take()
		left = More(r.descriptors, now.descriptors)
		left = append(left, More(r.mappings, now.mappings)...)
		// Stacks differ from one moment to the next: only their number counts.
		if len(now.goroutines) > len(r.goroutines) {
			left = append(left, now.goroutines...)
		}
		if len(left) == 0 || time.Since(begin) > settleTime {
			return left
		}
	}
}

// More returns what is in now and not in before.
func More(before, now []string) (more []string) {
	rest := slices.Clone(before)
	for _, s := range now {
		if i := slices.Index(rest, s); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
			continue
		}
		more = append(more, s)
	}
	return more
}

// Mappings returns the memory files of this module that are mapped.
func Mappings() (mapped []string) {
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:sealport") {
			mapped = append(mapped, strings.TrimSpace(line))
		}
	}
	return mapped
}

// goroutines returns the stacks of those that run code of this module, without
// those that run a test.
func goroutines() (running []string) {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	for g := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
		stack, creator, _ := bytes.Cut(g, []byte("\ncreated by "))
		test := bytes.Contains(stack, []byte("testing.(*M).Run")) || bytes.HasPrefix(creator, []byte("testing.(*"))
		if bytes.Contains(g, []byte("/sealport/")) && !test {
			running = append(running, string(g))
		}
	}
	return running
}
