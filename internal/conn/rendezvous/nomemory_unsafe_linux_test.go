//go:build amd64 || arm64

package rendezvous_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
)

// refusing runs f on a thread on which a system call returns an error. The thread ends
// with it.
func refusing(t *testing.T, call uint32, with syscall.Errno, f func()) {
	t.Helper()
	installed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		err := filter(call, unix.SECCOMP_RET_ERRNO|uint32(with), 0)
		installed <- err
		if err == nil {
			f()
		}
	}()
	err := <-installed
	<-done
	if err != nil {
		t.Skipf("needs seccomp filters: %v", err)
	}
}

// filter has the kernel take an action at a system call, on this thread, or with the flag
// SECCOMP_FILTER_FLAG_TSYNC on all.
func filter(call, action uint32, flags uintptr) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the system call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: action},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

func init() { parts["without /proc and unshare"] = withoutUnshare }

// withoutUnshare has neither of the ways to reach a socket in a directory, and then one.
func withoutUnshare() {
	err := unix.Chroot(os.Getenv("SEALPORT_TEST_DIR"))
	if err == nil {
		err = filter(unix.SYS_UNSHARE, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), unix.SECCOMP_FILTER_FLAG_TSYNC)
	}
	if err != nil {
		fmt.Println("needs seccomp filters:", err)
		return
	}
	o := rendezvous.Options{Dir: "/endpoints"}
	_, err = carrier.Listen(endpoint, o)
	fmt.Println(err)
	// As if there were a host.
	if f, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0); err == nil {
		_ = unix.Bind(f, &unix.SockaddrUnix{Name: "/endpoints/" + endpoint + ".sock"})
		_ = unix.Listen(f, 1)
	}
	_, err = carrier.Dial(context.Background(), endpoint, nil, o)
	fmt.Println(err)
	_, err = carrier.Listen(endpoint, o)
	fmt.Println(err)
}

// TestNoWayToTheSocket: the error says what is missing, and no living host is replaced.
func TestNoWayToTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SYS_CHROOT)")
	}
	p := start(t, "without /proc and unshare", rendezvous.Options{Dir: publicDir(t)}, nil)
	for range 3 {
		line, err := p.out.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "needs") {
			t.Skip("needs seccomp filters: " + line)
		}
		assert.Contains(t, line, "/proc is not mounted")
		assert.Contains(t, line, "unshare")
	}
}

// dialled has a client say hello to a listener. It returns the client that has been heard,
// and a function that waits for the answer to it.
func dialled(t *testing.T, l rendezvous.Listener, o rendezvous.Options) (rendezvous.Incoming, func() rendezvous.Outgoing) {
	t.Helper()
	var out rendezvous.Outgoing
	result, ctx := make(chan error, 1), hung(t)
	go func() {
		var err error
		out, err = carrier.Dial(ctx, endpoint, []byte("hello"), o)
		result <- err
	}()
	in, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.Close() })
	_, err = in.Hello(ctx)
	require.NoError(t, err)
	return in, func() rendezvous.Outgoing {
		t.Helper()
		require.NoError(t, <-result)
		return out
	}
}

// A client that could not be answered for want of memory can still be refused.
func TestRefuseWhenTheAnswerFoundNoMemory(t *testing.T) {
	for name, attested := range map[string]bool{"ring": false, "socket": true} {
		t.Run(name, func(t *testing.T) {
			o := inDir(t)
			o.Attested = attested
			in, answer := dialled(t, listen(t, endpoint, o), o)
			var err error
			refusing(t, unix.SYS_SENDMSG, unix.ENOBUFS, func() { _, err = in.Accept(hung(t), []byte("accepted")) })
			require.ErrorIs(t, err, rendezvous.ErrExhausted)
			require.ErrorIs(t, err, unix.ENOBUFS)
			require.NoError(t, in.Refuse(hung(t), []byte("refused")))
			out := answer()
			assert.Equal(t, "refused", string(out.Hello()))
			assert.False(t, out.Accepted())
			assert.NoError(t, out.Close())
		})
	}
}

// A client of a host that may not make memory files gets the socket, with or without having
// asked for it, and the host is told why.
func TestSocketWhereMemoryFilesAreRefused(t *testing.T) {
	for name, attested := range map[string]bool{"ring": false, "socket": true} {
		for _, why := range []syscall.Errno{unix.EPERM, unix.ENOSYS} { // seccomp profiles use either
			t.Run(name+" "+why.Error(), func(t *testing.T) {
				o := inDir(t)
				o.Attested = attested
				var reasons []error
				o.NoMemory = func(err error) { reasons = append(reasons, err) }
				in, answer := dialled(t, listen(t, endpoint, o), o)
				var host link.Link
				var err error
				refusing(t, unix.SYS_MEMFD_CREATE, why, func() { host, err = in.Accept(hung(t), []byte("accepted")) })
				require.NoError(t, err)
				defer host.Close()
				client, err := answer().Link()
				require.NoError(t, err)
				defer client.Close()
				assert.Equal(t, link.Socket, host.Carrier())
				assert.Equal(t, link.Socket, client.Carrier())
				require.Len(t, reasons, 1)
				assert.ErrorIs(t, reasons[0], why)
			})
		}
	}
}
