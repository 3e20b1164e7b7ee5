package memfd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNotSealed means that a descriptor is not a memory file of the expected size, sealed
// against resizing.
var ErrNotSealed = errors.New("not a sealed memory file of the expected size")

// seals make the size of the file immutable: a peer that could shrink it would kill this
// process with SIGBUS at the next access.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Create makes a sealed memory file of size bytes, all zero, and returns its descriptor
// (close-on-exec), which the caller closes.
func Create(size int) (fd int, err error) {
	fd, err = unix.MemfdCreate("sealport", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // MFD_NOEXEC_SEAL came with Linux 6.3
		fd, err = unix.MemfdCreate("sealport", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("ftruncate: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("sealing memfd: %w", err)
	}
	return fd, nil
}

// Check returns ErrNotSealed unless a descriptor, which a peer has sent, is one of a sealed
// memory file of size bytes. The descriptor stays the caller's.
func Check(fd, size int) error {
	// F_GET_SEALS fails for whatever is not a memory file.
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("%w: reading seals: %w", ErrNotSealed, err)
	}
	if got&seals != seals || got&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return fmt.Errorf("%w: seals %#x", ErrNotSealed, got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSealed, err)
	}
	// Sealed, so this can't change any more.
	if st.Size != int64(size) {
		return fmt.Errorf("%w: %d bytes, want %d", ErrNotSealed, st.Size, size)
	}
	return nil
}

// Map maps a file of size bytes that Create has made or Check has checked. The descriptor
// stays the caller's, who may close it.
func Map(fd, size int) ([]byte, error) {
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return mem, nil
}

// Unmap releases a mapping. Nobody may use it any more.
func Unmap(mem []byte) error { return unix.Munmap(mem) }
