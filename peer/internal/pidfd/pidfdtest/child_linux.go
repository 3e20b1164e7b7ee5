package pidfdtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
)

// childEnv is set in the environment of children.
const childEnv = "SEALPORT_PIDFDTEST_CHILD"

// Main makes a child of this process if Start started it, and then does not
// return. TestMain calls it first.
func Main(extra map[string]func(args []string) (string, error)) {
	if os.Getenv(childEnv) == "" {
		return
	}
	os.Exit(serve(extra))
}

// Child is another process that does what it is told: each command is a line,
// answered by a line when it has been done.
type Child struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	once sync.Once
}

// Start starts a child of the test's own program, which must call Main. files
// become its descriptors from 3 on. The child ends with the test at the latest.
func Start(t testing.TB, attr *syscall.SysProcAttr, files ...*os.File) *Child {
	t.Helper()
	return StartFile(t, "/proc/self/exe", attr, files...)
}

// StartFile is Start for a copy of the program.
func StartFile(t testing.TB, path string, attr *syscall.SysProcAttr, files ...*os.File) *Child {
	t.Helper()
	c := &Child{t: t, cmd: exec.Command(path)}
	// Nothing else of our environment: a child may be another user's. The race
	// detector would have each of them sleep for a second when it exits.
	c.cmd.Env = []string{childEnv + "=1", "GORACE=atexit_sleep_ms=0"}
	c.cmd.SysProcAttr, c.cmd.ExtraFiles, c.cmd.Stderr = attr, files, os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("starting a child: %v", err)
	}
	t.Cleanup(c.End)
	c.answer("starting")
	return c
}

// PID is the child's pid in our pid namespace.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Do has the child run a command and returns its answer. The test fails at once
// if the command does.
func (c *Child) Do(command string, args ...any) string {
	c.t.Helper()
	line := command
	for _, a := range args {
		line += " " + fmt.Sprint(a)
	}
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatalf("telling a child to %s: %v", line, err)
	}
	return c.answer(line)
}

// End has the child exit and waits until it has been reaped.
func (c *Child) End() {
	c.once.Do(func() {
		c.in.Close()
		_ = c.cmd.Wait() // tests may have killed it
	})
}

// Leave has the child exit at once and leave its own children behind, and waits
// until it has been reaped.
func (c *Child) Leave() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "exit\n"); err != nil {
		c.t.Fatalf("telling a child to exit: %v", err)
	}
	c.End()
}

func (c *Child) answer(what string) string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%s: the child is gone: %v", what, err)
	}
	answer, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "ok ")
	if !ok {
		c.t.Fatalf("%s: %s", what, line)
	}
	return answer
}

// serve runs commands until its input ends.
func serve(extra map[string]func([]string) (string, error)) int {
	s := &server{}
	fmt.Println("ok started")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		run, ok := map[string]func([]string) (string, error){
			"dial": s.dial, "adopt": s.adopt, "hello": s.hello, "hello-as": s.helloAs,
			"exec": s.exec, "setresuid": setresid(syscall.Setresuid), "setresgid": setresid(syscall.Setresgid), "spawn": s.spawn, "exit": s.exit, "hide": hide,
			"serve-fuse": s.fuse.open, "hold-fuse": s.fuse.hold, "release-fuse": s.fuse.release,
		}[words[0]]
		if !ok {
			run, ok = extra[words[0]]
		}
		if !ok {
			fmt.Println("error: no such command")
			continue
		}
		if answer, err := run(words[1:]); err != nil {
			fmt.Println("error:", err)
		} else {
			fmt.Println("ok", answer)
		}
	}
	for _, cmd := range s.children {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return 0
}

type server struct {
	conn     *Conn
	children []*exec.Cmd
	fuse     fuse
}

// dial PATH connects.
func (s *server) dial(args []string) (_ string, err error) {
	s.conn, err = Dial(args[0])
	return "", err
}

// adopt FD takes an inherited connection over.
func (s *server) adopt(args []string) (string, error) {
	fd, err := strconv.Atoi(args[0])
	s.conn = Adopt(fd)
	return "", err
}

// hello sends a message.
func (s *server) hello([]string) (string, error) {
	return "", s.conn.Send([]byte("hello"))
}

// hello-as PID UID GID sends a message with these credentials.
func (s *server) helloAs(args []string) (string, error) {
	n, err := numbers(args)
	if err != nil {
		return "", err
	}
	return "", s.conn.SendAs(cred.UCred{PID: int32(n[0]), UID: uint32(n[1]), GID: uint32(n[2])}, []byte("hello"))
}

// exec FILE becomes another copy of the program, which answers when it runs.
func (s *server) exec(args []string) (string, error) {
	return "", syscall.Exec(args[0], args[:1], os.Environ())
}

// setresid REAL EFFECTIVE SAVED changes ids; -1 keeps one.
func setresid(set func(real, effective, saved int) error) func([]string) (string, error) {
	return func(args []string) (string, error) {
		n, err := numbers(args)
		if err != nil {
			return "", err
		}
		return "", set(n[0], n[1], n[2])
	}
}

// spawn PATH starts a child of the child that dials and says hello, and returns
// its pid. It stays until this one ends, and outlives it after exit.
func (s *server) spawn(args []string) (string, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = os.Environ(), os.Stderr
	commands, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer commands.Close()
	defer in.Close()
	// It holds the writing end itself, so that its input never ends.
	cmd.Stdin, cmd.ExtraFiles = commands, []*os.File{in}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	s.children = append(s.children, cmd)
	if _, err := fmt.Fprintf(in, "dial %s\nhello\n", args[0]); err != nil {
		return "", err
	}
	answers := bufio.NewScanner(out)
	for range 3 { // started, dialled, said hello
		if !answers.Scan() || !strings.HasPrefix(answers.Text(), "ok ") {
			return "", fmt.Errorf("grandchild: %q %w", answers.Text(), answers.Err())
		}
	}
	return strconv.Itoa(cmd.Process.Pid), nil
}

// hide takes the right to look at this process from those of the same user, as
// set-user-ID programs and ssh-agent do.
func hide([]string) (string, error) {
	return "", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// exit ends at once, without waiting for children of its own.
func (s *server) exit([]string) (string, error) {
	os.Exit(0)
	return "", errors.New("unreachable")
}

func numbers(args []string) ([]int, error) {
	if len(args) != 3 {
		return nil, errors.New("want three numbers")
	}
	n := make([]int, len(args))
	for i, a := range args {
		var err error
		if n[i], err = strconv.Atoi(a); err != nil {
			return nil, err
		}
	}
	return n, nil
}
