package transporttest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Environment of a process that the suite starts.
const (
	roleVariable     = "SEALPORT_TEST_ROLE"
	endpointVariable = "SEALPORT_TEST_ENDPOINT"
	dirVariable      = "SEALPORT_TEST_DIR"
	variantVariable  = "SEALPORT_TEST_VARIANT"
	argumentVariable = "SEALPORT_TEST_ARGUMENT"
)

// process is another process with a part to play. It reports what it has done line
// by line, and waits for a line before it goes on.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed at its end
}

// start starts a process. It is killed when the test ends.
func (e *env) start(t *testing.T, role, argument string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return e.startProgram(t, self, nil, role, argument)
}

// startProgram is start for a copy of the program, with attributes of its process.
func (e *env) startProgram(t *testing.T, program string, attr *syscall.SysProcAttr, role, argument string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program), lines: make(chan string, 64)}
	p.cmd.SysProcAttr = attr
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, endpointVariable+"="+e.endpoint, dirVariable+"="+e.dir,
		variantVariable+"="+e.variant.name, argumentVariable+"="+argument)
	p.cmd.Stderr = os.Stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for range p.lines { // let the reader end
		}
		<-read
		_ = p.cmd.Wait()
	})
	return p
}

// expect waits for a line that begins with want and returns the rest.
func (p *process) expect(t *testing.T, want string) string {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(t, ok, "the process ended before it said %q", want)
		rest, found := strings.CutPrefix(line, want)
		require.True(t, found, "it said %q, not %q", line, want)
		return strings.TrimSpace(rest)
	case <-time.After(limit):
		require.FailNow(t, "the process hangs", "before it said %q", want)
	}
	return ""
}

// tell sends a line.
func (p *process) tell(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(p.in, line)
	require.NoError(t, err)
}

// kill kills the process as kill -9 does and waits until it is dead.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGKILL))
	_, _ = p.cmd.Process.Wait()
}

// In a process that was started:

// say says a line to the test.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

var stdin = bufio.NewScanner(os.Stdin)

// hear waits for a line of the test's. At the end of the test the process ends.
func hear() string {
	if !stdin.Scan() {
		os.Exit(0)
	}
	return stdin.Text()
}

// must ends the process with a message that the test does not expect.
func must(err error) {
	if err != nil {
		say("failed: %v", err)
		os.Exit(1)
	}
}

// play plays a part.
func play(l Layer, role string) {
	part, ok := parts[role]
	if !ok {
		say("failed: no part %q", role)
		os.Exit(1)
	}
	e := &env{Layer: l, dir: os.Getenv(dirVariable)}
	e.at(os.Getenv(endpointVariable))
	for _, v := range variants {
		if v.name == os.Getenv(variantVariable) {
			e.variant = v
		}
	}
	part(e, os.Getenv(argumentVariable))
}

// parts are what other processes do, filled by the files that need them.
var parts = map[string]func(e *env, argument string){}
