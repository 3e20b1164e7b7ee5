//go:build amd64 || arm64

package rendezvous_test

import (
	"runtime"
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
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the system call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	installed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
			_, _, errno := unix.Syscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)))
			if errno != 0 {
				err = errno
			}
		}
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

// A client that could not be answered for want of memory can still be refused.
func TestRefuseWhenTheAnswerFoundNoMemory(t *testing.T) {
	for name, attested := range map[string]bool{"ring": false, "socket": true} {
		t.Run(name, func(t *testing.T) {
			o := inDir(t)
			o.Attested = attested
			l, ctx := listen(t, endpoint, o), hung(t)
			type dialled struct {
				out rendezvous.Outgoing
				err error
			}
			result := make(chan dialled, 1)
			go func() {
				out, err := carrier.Dial(ctx, endpoint, []byte("hello"), o)
				result <- dialled{out, err}
			}()
			in, err := l.Accept()
			require.NoError(t, err)
			t.Cleanup(func() { _ = in.Close() })
			_, err = in.Hello(ctx)
			require.NoError(t, err)
			refusing(t, unix.SYS_SENDMSG, unix.ENOBUFS, func() { _, err = in.Accept(ctx, []byte("accepted")) })
			require.ErrorIs(t, err, rendezvous.ErrExhausted)
			require.ErrorIs(t, err, unix.ENOBUFS)
			require.NoError(t, in.Refuse(ctx, []byte("refused")))
			r := <-result
			require.NoError(t, r.err)
			assert.Equal(t, "refused", string(r.out.Hello()))
			assert.False(t, r.out.Accepted())
			assert.NoError(t, r.out.Close())
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
				l, ctx := listen(t, endpoint, o), hung(t)
				type dialled struct {
					out rendezvous.Outgoing
					err error
				}
				result := make(chan dialled, 1)
				go func() {
					out, err := carrier.Dial(ctx, endpoint, []byte("hello"), o)
					result <- dialled{out, err}
				}()
				in, err := l.Accept()
				require.NoError(t, err)
				t.Cleanup(func() { _ = in.Close() })
				_, err = in.Hello(ctx)
				require.NoError(t, err)
				var host link.Link
				refusing(t, unix.SYS_MEMFD_CREATE, why, func() { host, err = in.Accept(ctx, []byte("accepted")) })
				require.NoError(t, err)
				defer host.Close()
				r := <-result
				require.NoError(t, r.err)
				client, err := r.out.Link()
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
