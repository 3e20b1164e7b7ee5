package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// activated is a service that systemd starts: it serves one client after the other, each
// with a listener of its own, and says what came of each step.
func activated() {
	// systemd knows the pid before it executes the service; we only now.
	_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+wrongPID()))
	var before rendezvous.Listener
	for {
		l, err := carrier.Listen(endpoint, childOptions())
		if before != nil {
			err = errors.Join(err, again(before))
		}
		say(err)
		if err != nil {
			continue
		}
		before = l
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
	}
}

// again closes a listener that is closed already, which must not matter to the next one.
func again(l rendezvous.Listener) error {
	if err := l.Close(); !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("closed twice: %w", err)
	}
	return nil
}

// activatedExhausted is a service that has a descriptor left for the reserve, and none for
// the socket; then it has as many as it likes.
func activatedExhausted() {
	_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	lowest, err := unix.Dup(0)
	if err == nil {
		err = unix.Close(lowest)
	}
	var before unix.Rlimit
	if err == nil {
		err = unix.Getrlimit(unix.RLIMIT_NOFILE, &before)
	}
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest) + 1, Max: before.Max})
	}
	say(err)
	_, err = carrier.Listen(endpoint, childOptions())
	if errors.Is(err, rendezvous.ErrNotEndpoint) {
		err = rendezvous.ErrNotEndpoint // it must not say so
	}
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	say(err)
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

// A socket of systemd's is adopted by one listener after the other, as when a service loads
// its configuration again. A client that comes in between waits for the next one.
func TestActivatedSocketIsAdopted(t *testing.T) {
	o := inDir(t)
	fd := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
	type answer struct {
		out rendezvous.Outgoing
		err error
	}
	answers := make(chan answer, 1)
	dial := func() {
		go func() {
			out, err := carrier.Dial(hung(t), endpoint, []byte("hello"), o)
			answers <- answer{out, err}
		}()
		waiting(t, fd)
	}
	dial()
	p := start(t, "activated", o, pass(t, fd))
	const listeners = 3
	for i := range listeners {
		p.expect(t, "ok") // Listen
		p.goOn(t)
		a := <-answers
		require.NoError(t, a.err)
		assert.Equal(t, "from the service", string(a.out.Hello()))
		// The credentials are of who answered, not of who made the socket.
		assert.EqualValues(t, p.cmd.Process.Pid, a.out.Credentials().Message.PID)
		assert.EqualValues(t, os.Getpid(), a.out.Credentials().Socket.PID)
		require.NoError(t, a.out.Close())
		p.expect(t, "ok") // the client
		p.goOn(t)
		p.expect(t, "ErrInUse") // there is one listener at a time
		p.goOn(t)
		p.expect(t, "ok") // Close
		assert.FileExists(t, filepath.Join(o.Dir, endpoint+".sock"), "it is systemd's")
		if i < listeners-1 {
			dial()
			p.goOn(t)
		}
	}
}

// waiting waits until a client waits in the backlog.
func waiting(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if n, err := unix.Poll(fds, int(limit/time.Millisecond)); err == nil && n == 1 {
			return
		}
	}
	require.FailNow(t, "no client came")
}

// Without descriptors the socket stays as systemd has passed it, and is not blamed.
func TestActivatedWithoutDescriptors(t *testing.T) {
	o := inDir(t)
	p := start(t, "activated without descriptors", o, pass(t, rawSocket(t, o, unix.SOCK_SEQPACKET, 5)))
	p.expect(t, "ok")
	p.goOn(t)
	p.expect(t, "ErrExhausted")
	p.goOn(t)
	p.expect(t, "ok")
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
