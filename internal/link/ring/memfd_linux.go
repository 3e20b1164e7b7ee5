package ring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/memfd"
)

// Create makes a sealed memory file for two rings of size bytes, maps it and
// returns the mapping and the descriptor (close-on-exec) for the peer, which
// the caller closes.
func Create(size int) (*Mapping, int, error) {
	if !ValidSize(size) {
		return nil, -1, fmt.Errorf("%w: %d bytes for one direction", ErrMapping, size)
	}
	fd, err := memfd.Create(FileSize(size))
	if err != nil {
		return nil, -1, err
	}
	mem, err := memfd.Map(fd, FileSize(size))
	if err != nil {
		return nil, -1, errors.Join(err, unix.Close(fd))
	}
	return &Mapping{mem: mem, size: size}, fd, nil
}

// Open checks a descriptor that the peer sent and maps it. The size is the one
// that the peer announced. The descriptor stays the caller's.
func Open(fd, size int) (*Mapping, error) {
	if !ValidSize(size) {
		return nil, fmt.Errorf("%w: %d bytes for one direction", ErrMapping, size)
	}
	if err := memfd.Check(fd, FileSize(size)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	}
	mem, err := memfd.Map(fd, FileSize(size))
	if err != nil {
		return nil, err
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
	return memfd.Unmap(mem)
}
