package pidfdtest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// MemFile is a program in a memory file, which is one of tmpfs.
type MemFile struct {
	t    testing.TB
	fd   int // open for reading only, so that the file can be executed
	size int
}

// NewMemFile makes a MemFile, which ends with the test.
func NewMemFile(t testing.TB, content []byte) *MemFile {
	t.Helper()
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("program", unix.MFD_CLOEXEC)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &MemFile{t: t, fd: fd, size: len(content)}
	t.Cleanup(func() { unix.Close(m.fd) })
	m.must(unix.Fchmod(fd, 0o755))
	n, err := unix.Write(fd, content)
	m.must(err)
	if n != len(content) {
		t.Fatalf("wrote %d bytes of %d", n, len(content))
	}
	reading, err := unix.Open(m.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	m.must(err)
	m.must(unix.Close(fd))
	m.fd = reading
	return m
}

func (m *MemFile) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// Path is where the file can be executed.
func (m *MemFile) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.fd) }

// ChangeTime is the file's ctime.
func (m *MemFile) ChangeTime() time.Time {
	m.t.Helper()
	var st unix.Stat_t
	m.must(unix.Fstat(m.fd, &st))
	return time.Unix(st.Ctim.Unix())
}

// SetLast changes the last byte through a shared mapping, after it has read from it.
func (m *MemFile) SetLast(b byte) {
	m.t.Helper()
	writing, err := unix.Open(m.Path(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	m.must(err)
	defer unix.Close(writing)
	mapped, err := unix.Mmap(writing, 0, m.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	m.must(err)
	if mapped[m.size-1] == b {
		m.t.Fatal("that is what it was")
	}
	mapped[m.size-1] = b
	m.must(unix.Munmap(mapped))
}
