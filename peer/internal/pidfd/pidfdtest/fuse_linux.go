package pidfdtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// FUSE's wire format, from linux/fuse.h, version 7.31.
const (
	fuseForget  = 2
	fuseGetattr = 3
	fuseOpen    = 14
	fuseRead    = 15
	fuseStatfs  = 17
	fuseRelease = 18
	fuseInit    = 26

	fuseInHeader  = 40
	fuseOutHeader = 16
	fuseMaxWrite  = 128 << 10
)

// ServedFile is a copy of the test's program whose contents come from user space:
// a child serves it by FUSE. It has to be another process. While a file is being
// executed, the thread that started it waits in vfork with its processor held, so
// that with GOMAXPROCS=1 a server in this process could never answer.
type ServedFile struct{ server *Child }

// ServeFile mounts a served file over the file at path. The test must run in a
// mount namespace of its own.
func ServeFile(t testing.TB, path string) ServedFile {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	defer dev.Close() // the server has its own
	s := ServedFile{Start(t, nil, dev)}
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d", dev.Fd(), unix.S_IFREG|0o755, os.Getuid(), os.Getgid())
	if err := unix.Mount("test", path, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s.server.Do("serve-fuse", 3)
	return s
}

// Hold keeps the server from answering until Release.
func (s ServedFile) Hold() { s.server.Do("hold-fuse") }

// Release lets the server answer again.
func (s ServedFile) Release() { s.server.Do("release-fuse") }

// fuse is the server in the child.
type fuse struct {
	mu      sync.Mutex // held while the server must not answer
	dev     int
	content []byte
}

// open serves the program by the FUSE device with this descriptor.
func (s *fuse) open(args []string) (_ string, err error) {
	if s.dev, err = strconv.Atoi(args[0]); err != nil {
		return "", err
	}
	if s.content, err = os.ReadFile("/proc/self/exe"); err != nil {
		return "", err
	}
	go s.serve() // until the file is unmounted, or with this process
	return "", nil
}

func (s *fuse) hold([]string) (string, error)    { s.mu.Lock(); return "", nil }
func (s *fuse) release([]string) (string, error) { s.mu.Unlock(); return "", nil }

func (s *fuse) serve() {
	b := make([]byte, fuseMaxWrite+4096)
	for {
		n, err := unix.Read(s.dev, b)
		switch {
		case err == unix.EINTR || err == unix.ENOENT: // ENOENT: a request was interrupted
			continue
		case err != nil || n < fuseInHeader:
			return // ENODEV: unmounted
		}
		opcode := binary.NativeEndian.Uint32(b[4:])
		if opcode == fuseForget {
			continue
		}
		s.mu.Lock()
		body, errno := s.answer(opcode, b[fuseInHeader:n])
		s.mu.Unlock()
		reply := binary.NativeEndian.AppendUint32(nil, uint32(fuseOutHeader+len(body)))
		reply = binary.NativeEndian.AppendUint32(reply, uint32(-int32(errno)))
		reply = append(reply, b[8:16]...) // the request's number
		_, _ = unix.Write(s.dev, append(reply, body...))
	}
}

func (s *fuse) answer(opcode uint32, in []byte) ([]byte, unix.Errno) {
	e := binary.NativeEndian
	switch opcode {
	case fuseInit:
		out := make([]byte, 64)
		e.PutUint32(out[0:], 7)
		e.PutUint32(out[4:], 31)
		e.PutUint32(out[8:], e.Uint32(in[8:])) // read-ahead, as the kernel asks for
		e.PutUint32(out[20:], fuseMaxWrite)
		return out, 0
	case fuseGetattr:
		out := make([]byte, 104) // valid for 0 s: each stat asks again
		e.PutUint64(out[16:], 1)
		e.PutUint64(out[24:], uint64(len(s.content)))
		e.PutUint32(out[76:], unix.S_IFREG|0o755)
		e.PutUint32(out[80:], 1)
		return out, 0
	case fuseOpen:
		return make([]byte, 16), 0
	case fuseRead:
		offset := min(e.Uint64(in[8:]), uint64(len(s.content)))
		size := min(uint64(e.Uint32(in[16:])), uint64(len(s.content))-offset)
		return s.content[offset : offset+size], 0
	case fuseStatfs:
		return make([]byte, 80), 0
	case fuseRelease:
		return nil, 0
	}
	return nil, unix.ENOSYS
}
