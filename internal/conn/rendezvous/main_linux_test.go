package rendezvous_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/leaktest"
)

const (
	roleVariable = "SEALPORT_TEST_ROLE"
	endpoint     = "com.example.test"
	limit        = 20 * time.Second
)

// TestMain plays a part if this is a process that a test has started.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		parts[role]()
		os.Exit(0)
	}
	leaktest.Main(m)
}

// carrier is the system's.
var carrier = func() rendezvous.Carrier {
	c, err := rendezvous.System()
	if err != nil {
		panic(err)
	}
	return c
}()

// parts are what other processes do: they say what came of it in one line, and
// wait to be told to end.
var parts = map[string]func(){
	"listen": func() {
		l, err := carrier.Listen(endpoint, childOptions())
		say(err)
		if err == nil {
			say(l.Close())
		}
	},
	"dial": func() {
		out, err := carrier.Dial(context.Background(), endpoint, []byte("hello"), childOptions())
		if err == nil {
			_ = out.Close()
		}
		say(err)
	},
	"listen with umask 0": func() {
		unix.Umask(0)
		_, err := carrier.Listen(endpoint, childOptions())
		say(err)
	},
	"listen with umask 0777": func() {
		unix.Umask(0o777)
		_, err := carrier.Listen(endpoint, childOptions())
		say(err)
	},
	"activated":                     activated,
	"activated without descriptors": activatedExhausted,
	"swap":                          swap,
	"where":                         where,
	"set-user-ID": func() {
		if err := unix.Setresuid(stranger, 0, 0); err != nil {
			panic(err)
		}
		where()
	},
}

// where serves and dials by the default directory, and says which that is.
func where() {
	var dirs []string
	o := rendezvous.Options{Fallback: func(dir, _ string) { dirs = append(dirs, dir) }}
	l, err := carrier.Listen(endpoint, o)
	if err != nil {
		say(err)
		return
	}
	_, err = carrier.Dial(canceled(), endpoint, nil, o)
	if !errors.Is(err, context.Canceled) { // it has found the host
		say(err)
		return
	}
	if len(dirs) == 0 {
		dirs = []string{"XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR"}
	}
	fmt.Println(strings.Join(dirs, " "))
	say(l.Close())
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func childOptions() rendezvous.Options {
	return rendezvous.Options{Dir: os.Getenv("SEALPORT_TEST_DIR"), Shared: os.Getenv("SEALPORT_TEST_SHARED") != ""}
}

// names are how a child says which error it got.
var names = map[string]error{
	"ErrInUse": rendezvous.ErrInUse, "ErrNotFound": rendezvous.ErrNotFound, "ErrPermission": rendezvous.ErrPermission,
	"ErrNotEndpoint": rendezvous.ErrNotEndpoint, "ErrUnsafeDir": rendezvous.ErrUnsafeDir, "ErrExhausted": rendezvous.ErrExhausted,
}

func say(err error) {
	said := "ok"
	if err != nil {
		said = "unknown: " + err.Error()
		for name, known := range names {
			if errors.Is(err, known) {
				said = name
			}
		}
	}
	fmt.Println(said)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(0)
	}
}

// child is another process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a process with a part, changed before it starts.
func start(t *testing.T, role string, o rendezvous.Options, change func(cmd *exec.Cmd)) *child {
	t.Helper()
	// Not by its path, which may lie where another user can't go.
	c := &child{cmd: exec.Command("/proc/self/exe")}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role, "SEALPORT_TEST_DIR="+o.Dir)
	if o.Shared {
		c.cmd.Env = append(c.cmd.Env, "SEALPORT_TEST_SHARED=1")
	}
	c.cmd.Stderr = os.Stderr
	var err error
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	if change != nil {
		change(c.cmd)
	}
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = c.in.Close()
	})
	return c
}

// expect waits for a line.
func (c *child) expect(t *testing.T, want string) {
	t.Helper()
	hangs := time.AfterFunc(limit, func() { _ = c.cmd.Process.Kill() })
	defer hangs.Stop()
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, want, strings.TrimSpace(line))
}

func (c *child) goOn(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(c.in, "\n")
	require.NoError(t, err)
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGKILL))
	_, _ = c.cmd.Process.Wait()
}

// insideVariable tells a test that it runs in the namespaces that it asked for.
const insideVariable = "SEALPORT_TEST_INSIDE"

// withOwnRun has the calling test run in a process that has a /run and a /tmp of its
// own. It returns false in this process, when the test has passed there.
func withOwnRun(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SYS_ADMIN, CAP_SETUID)")
	}
	if os.Getenv(insideVariable) != "" {
		require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		require.NoError(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
		require.NoError(t, unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"))
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	// A test that was not run, or skipped, passes too.
	require.Contains(t, string(out), "--- PASS: "+t.Name()+" ")
	return false
}

// publicDir is a directory that other users can enter, which t.TempDir is not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sealport-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func hung(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// inDir are options with a directory of the test's own, not made yet.
func inDir(t *testing.T) rendezvous.Options {
	return rendezvous.Options{Dir: filepath.Join(t.TempDir(), "endpoints")}
}

func listen(t *testing.T, name string, o rendezvous.Options) rendezvous.Listener {
	t.Helper()
	l, err := carrier.Listen(name, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// reach checks that a client reaches a listener by a name.
func reach(t *testing.T, l rendezvous.Listener, name string, o rendezvous.Options) {
	t.Helper()
	ctx := hung(t)
	accepted := make(chan error, 1)
	go func() {
		in, err := l.Accept()
		if err != nil {
			accepted <- err
			return
		}
		hello, err := in.Hello(ctx)
		if err == nil && string(hello) != name {
			err = fmt.Errorf("hello %q", hello)
		}
		accepted <- errors.Join(err, in.Refuse(ctx, []byte("answer")))
	}()
	out, err := carrier.Dial(ctx, name, []byte(name), o)
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	assert.Equal(t, "answer", string(out.Hello()))
	assert.False(t, out.Accepted())
	require.NoError(t, out.Close())
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	st, err := os.Lstat(path)
	require.NoError(t, err)
	return st.Mode().Perm()
}
