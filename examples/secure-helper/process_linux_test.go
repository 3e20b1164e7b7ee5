package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limit is how long a process may take that should end at once.
const limit = 30 * time.Second

// Users that need not exist.
const (
	userUID  = 54321
	otherUID = 54322
)

// site is one helper with what it needs, and programs that may ask it or not.
type site struct {
	dir     string
	program string // the one that may ask
	user    int    // who may ask
	hostKey string // public
}

// newSite prepares everything for clients of one user. It is a folder that others
// can enter, which t.TempDir's are not.
func newSite(t *testing.T, user int) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "secure-helper")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &site{dir: dir, user: user}
	s.program = s.copyProgram(t, "secure-helper")
	require.NoError(t, os.Mkdir(s.path("state"), 0o755))
	s.hostKey = s.keygen(t, "host", os.Getuid())
	s.allow(t, s.keygen(t, "client", user))
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// copyProgram copies this test's program, which plays all parts.
func (s *site) copyProgram(t *testing.T, name string) string {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	return s.path(name)
}

// command is a program as a user.
func (s *site) command(t *testing.T, program string, uid int, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), roleVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

// run runs a program to its end.
func (s *site) run(t *testing.T, program string, uid int, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := s.command(t, program, uid, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); !exited {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// keygen makes a key of a user's in a folder of his and returns its public half.
func (s *site) keygen(t *testing.T, name string, uid int) string {
	t.Helper()
	if err := os.Mkdir(s.path(name), 0o700); !os.IsExist(err) {
		require.NoError(t, err)
		require.NoError(t, os.Chown(s.path(name), uid, -1))
	}
	public, stderr, code := s.run(t, s.program, uid, "keygen", s.path(name))
	require.Zero(t, code, stderr)
	return strings.TrimSpace(public)
}

// allow replaces the list of keys that may ask.
func (s *site) allow(t *testing.T, keys ...string) {
	t.Helper()
	text := "# who may ask\n" + strings.Join(keys, "\n") + "\n"
	require.NoError(t, os.WriteFile(s.path("allow.new"), []byte(text), 0o644))
	require.NoError(t, os.Rename(s.path("allow.new"), s.path("allow")))
}

// client is who asks, and how. The zero value of each field stands for what the
// allowed client does.
type client struct {
	program string
	key     string // folder of the key
	uid     int
	flags   []string // instead of -host
}

// asks asks a question.
func (s *site) asks(t *testing.T, c client, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	if c.program == "" {
		c.program = s.program
	}
	if c.key == "" {
		c.key = "client"
	}
	if c.uid == 0 {
		c.uid = s.user
	}
	if c.flags == nil {
		c.flags = []string{"-host", s.hostKey}
	}
	args := []string{"ask", "-dir", s.path("run"), "-key", filepath.Join(s.path(c.key), keyName+".key"),
		"-user", strconv.Itoa(os.Getuid())}
	return s.run(t, c.program, c.uid, append(append(args, c.flags...), words...)...)
}

// helperProcess is a helper that runs.
type helperProcess struct {
	cmd  *exec.Cmd
	errs *bufio.Reader
	log  strings.Builder // what was read of errs
}

// serve starts the helper, which runs as this test's user.
func (s *site) serve(t *testing.T) *helperProcess {
	t.Helper()
	h := &helperProcess{cmd: s.command(t, s.program, os.Getuid(), "serve", "-dir", s.path("run"),
		"-key", filepath.Join(s.path("host"), keyName+".key"), "-allow", s.path("allow"),
		"-user", strconv.Itoa(s.user), "-executable", s.program, "-state", s.path("state"))}
	out, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	errs, err := h.cmd.StderrPipe()
	require.NoError(t, err)
	h.errs = bufio.NewReader(errs)
	require.NoError(t, h.cmd.Start())
	t.Cleanup(func() { _ = h.cmd.Process.Kill() }) // only if the test failed
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		log, _ := io.ReadAll(h.errs)
		require.NoError(t, err, "%s", log)
	}
	require.Equal(t, "serving "+defaultEndpoint+"\n", said)
	return h
}

// expect waits until the helper's log says want. A client may know that it is
// refused before the helper has written why.
func (h *helperProcess) expect(t *testing.T, want string) {
	t.Helper()
	for !strings.Contains(h.log.String(), want) {
		l, err := h.errs.ReadString('\n')
		h.log.WriteString(l)
		require.NoError(t, err, "waiting for %q in the log:\n%s", want, h.log.String())
	}
}

// stop ends the helper as a service manager does and returns its log.
func (h *helperProcess) stop(t *testing.T) string {
	t.Helper()
	require.NoError(t, h.cmd.Process.Signal(syscall.SIGTERM))
	_, err := io.Copy(&h.log, h.errs)
	require.NoError(t, err)
	require.NoError(t, h.cmd.Wait(), "%s", h.log.String())
	return h.log.String()
}
