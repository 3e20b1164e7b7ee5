package ring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// seals make the size of the memory file immutable: a peer that could shrink it
// would kill this process with SIGBUS at the next access.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Create makes a sealed memory file for two rings of size bytes, maps it and
// returns the mapping and the descriptor (close-on-exec) for the peer, which
// the caller closes.
func Create(size int) (*Mapping, int, error) {
	if !ValidSize(size) {
		return nil, -1, fmt.Errorf("%w: %d bytes for one direction", ErrMapping, size)
	}
	fd, err := unix.MemfdCreate("sealport", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // MFD_NOEXEC_SEAL came with Linux 6.3
		fd, err = unix.MemfdCreate("sealport", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(FileSize(size))); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("ftruncate: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("sealing memfd: %w", err)
	}
	m, err := mapFile(fd, size)
	if err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	return m, fd, nil
}

// Open checks a descriptor that the peer sent and maps it. The size is the one
// that the peer announced. The descriptor stays the caller's.
func Open(fd, size int) (*Mapping, error) {
	if !ValidSize(size) {
		return nil, fmt.Errorf("%w: %d bytes for one direction", ErrMapping, size)
	}
	// F_GET_SEALS fails for whatever is not a memory file.
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: reading seals: %w", ErrMapping, err)
	}
	if got&seals != seals || got&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return nil, fmt.Errorf("%w: seals %#x", ErrMapping, got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	}
	// Sealed, so this can't change any more.
	if st.Size != int64(FileSize(size)) {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrMapping, st.Size, FileSize(size))
	}
	return mapFile(fd, size)
}

func mapFile(fd, size int) (*Mapping, error) {
	mem, err := unix.Mmap(fd, 0, FileSize(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &Mapping{mem: mem, size: size}, nil
}

// Unmap releases the mapping. No end may be in use.
func (m *Mapping) Unmap() error {
	if m.mem == nil {
		return nil
	}
	mem := m.mem
	m.mem = nil
	return unix.Munmap(mem)
}
