// Package filedigest computes SHA-256 digests of files and remembers them for as
// long as the files' inodes say that nothing has changed, where inodes say so.
package filedigest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrTooLarge means that the file exceeds the Cache's limit; it was not read.
var ErrTooLarge = errors.New("filedigest: file too large")

// ErrModified means that the file changed while it was being read.
var ErrModified = errors.New("filedigest: file changed while it was read")

// Key identifies a file with its contents. A writer cannot set Ctime back
// without setting the machine's clock.
type Key struct {
	Dev, Ino     uint64
	Size         int64 // bytes
	Mtime, Ctime int64 // nanoseconds since 1970
}

// settle is how long a file must have been left alone before its digest is
// kept: the inode's clock can tick as slowly as once in 10 ms (CONFIG_HZ=100), and file
// systems store times in steps of up to 2 s. A change within one tick does not show.
const settle = 2 * time.Second

// block is how much is read between two looks at the context, in bytes.
const block = 256 << 10

// File is an open file.
type File interface {
	io.Reader
	Key() (Key, error)

	// Tracked reports whether every write from now on changes the Key. It is asked
	// before the file is read, and its digest is not kept otherwise.
	Tracked() bool
}

// Cache remembers digests. All methods may be called concurrently.
type Cache struct {
	maxSize int64
	slots   chan struct{} // one is held while a file is read

	mu    sync.Mutex // guards the rest
	sums  map[Key][sha256.Size]byte
	order []Key // ring of the keys in sums, the oldest at next
	next  int
}

// New returns a Cache for at most entries digests (about 100 bytes each) of
// files of at most maxSize bytes, of which it reads at most readers at a time.
func New(entries int, maxSize int64, readers int) *Cache {
	return &Cache{
		maxSize: maxSize, slots: make(chan struct{}, readers),
		sums: make(map[Key][sha256.Size]byte, entries), order: make([]Key, 0, entries),
	}
}

// SHA256 returns the digest of f. If it is cached, the file has not been written to since
// it was read; otherwise SHA256 reads it from its current offset. It blocks for a free
// slot and for as long as reading takes, until ctx ends; a read that the file system
// itself blocks is not interrupted.
// Errors: ErrTooLarge, ErrModified, ctx.Err(), those of f.
func (c *Cache) SHA256(ctx context.Context, f File) ([sha256.Size]byte, error) {
	var zero [sha256.Size]byte
	if sum, _, ok, err := c.known(f); ok || err != nil {
		return sum, err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return zero, ctx.Err()
	}
	// Another call may have read it meanwhile.
	sum, before, ok, err := c.known(f)
	if ok || err != nil {
		return sum, err
	}
	started, tracked := time.Now(), f.Tracked()
	sum, err = hash(ctx, f, before.Size)
	if err != nil {
		return zero, err
	}
	after, err := f.Key()
	if err != nil {
		return zero, err
	}
	if after != before {
		return zero, ErrModified
	}
	if tracked && started.Sub(time.Unix(0, before.Ctime)) > settle {
		c.keep(before, sum)
	}
	return sum, nil
}

func (c *Cache) known(f File) (sum [sha256.Size]byte, key Key, ok bool, err error) {
	if key, err = f.Key(); err != nil {
		return sum, key, false, err
	}
	if key.Size > c.maxSize {
		return sum, key, false, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, key.Size, c.maxSize)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sum, ok = c.sums[key]
	return sum, key, ok, nil
}

// hash reads exactly size bytes and the end of the file.
func hash(ctx context.Context, f io.Reader, size int64) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	buf := make([]byte, block)
	for read := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		read += int64(n)
		switch {
		case read > size:
			return sum, ErrModified // and never more than the limit is read
		case err == io.EOF && read == size:
			h.Sum(sum[:0])
			return sum, nil
		case err == io.EOF:
			return sum, ErrModified
		case err != nil:
			return sum, fmt.Errorf("reading: %w", err)
		}
	}
}

func (c *Cache) keep(k Key, sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.sums[k]; ok || cap(c.order) == 0 {
		return
	}
	if len(c.order) < cap(c.order) {
		c.order = append(c.order, k)
	} else {
		delete(c.sums, c.order[c.next])
		c.order[c.next] = k
		c.next = (c.next + 1) % len(c.order)
	}
	c.sums[k] = sum
}
