package rendezvous_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// activated is a service that systemd starts: it says what came of Listen, answers
// one client, and says what came of a second Listen meanwhile.
func activated() {
	// systemd knows the pid before it executes the service; we only now.
	_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+wrongPID()))
	l, err := carrier.Listen(endpoint, childOptions())
	say(err)
	if err != nil {
		return
	}
	in, err := l.Accept()
	if err == nil {
		_, err = in.Hello(context.Background())
	}
	if err == nil {
		err = in.Refuse(context.Background(), []byte("from the service"))
	}
	say(err)
	_, err = carrier.Listen(endpoint, childOptions())
	say(err)
	say(l.Close())
	_, err = carrier.Listen(endpoint, childOptions())
	say(err)
}

func wrongPID() int {
	n, _ := strconv.Atoi(os.Getenv("SEALPORT_TEST_WRONG"))
	return n
}

// pass passes sockets as systemd does. The first is another service's.
func pass(t *testing.T, fd int, more ...string) func(cmd *exec.Cmd) {
	return func(cmd *exec.Cmd) {
		null, err := os.Open(os.DevNull)
		require.NoError(t, err)
		t.Cleanup(func() { _ = null.Close() })
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		f := os.NewFile(uintptr(copied), "passed")
		t.Cleanup(func() { _ = f.Close() })
		cmd.ExtraFiles = []*os.File{null, f}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=com.example.other:"+endpoint)
		cmd.Env = append(cmd.Env, more...)
	}
}

func TestActivatedSocketIsAdopted(t *testing.T) {
	o := inDir(t)
	fd := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
	p := start(t, "activated", o, pass(t, fd))
	p.expect(t, "ok")
	p.goOn(t)
	out, err := carrier.Dial(hung(t), endpoint, []byte("hello"), o)
	require.NoError(t, err)
	defer out.Close()
	assert.Equal(t, "from the service", string(out.Hello()))
	// The credentials are of who answered, not of who made the socket.
	assert.EqualValues(t, p.cmd.Process.Pid, out.Credentials().Message.PID)
	assert.EqualValues(t, os.Getpid(), out.Credentials().Socket.PID)
	p.expect(t, "ok")
	p.goOn(t)
	p.expect(t, "ErrInUse") // a descriptor is adopted once
	p.goOn(t)
	p.expect(t, "ok")
	assert.FileExists(t, filepath.Join(o.Dir, endpoint+".sock"), "it is systemd's")
	p.goOn(t)
	p.expect(t, "ErrInUse") // systemd listens on
}

func TestActivationForAnotherProcess(t *testing.T) {
	o := inDir(t)
	fd := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
	// Then it would make its own, but there is one.
	start(t, "activated", o, pass(t, fd, "SEALPORT_TEST_WRONG=1")).expect(t, "ErrInUse")
}

func TestActivatedSocketOfAnotherType(t *testing.T) {
	o := inDir(t)
	start(t, "activated", o, pass(t, rawSocket(t, o, unix.SOCK_STREAM, 5))).expect(t, "ErrNotEndpoint")
	o = inDir(t)
	start(t, "activated", o, pass(t, rawSocket(t, o, unix.SOCK_SEQPACKET, -1))).expect(t, "ErrNotEndpoint")
	o = inDir(t)
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(null)
	start(t, "activated", o, pass(t, null)).expect(t, "ErrNotEndpoint")
}
