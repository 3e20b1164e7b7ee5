package safefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// ErrTooLarge is returned by [Read] for a file above the limit.
var ErrTooLarge = errors.New("file is too large")

// Read returns the content of a file of at most limit bytes, in a slice that the
// caller owns, and a stamp that tells whether the file has changed since. forbidden
// is [Private] or [Unforgeable], and accepted names what is accepted all the same. A
// FIFO in the file's place is refused without waiting for it.
//
// It fails with [ErrInsecure], [ErrTooLarge] or an error of the file system.
func Read(path string, limit int64, forbidden fs.FileMode, accepted ...Access) ([]byte, Stamp, error) {
	data, fi, err := read(path, limit, forbidden, accepted)
	if err != nil {
		return nil, Stamp{}, err
	}
	return data, Stamp{fi: fi, settled: time.Since(changeTime(fi)) > settling}, nil
}

func read(path string, limit int64, forbidden fs.FileMode, accepted []Access) ([]byte, fs.FileInfo, error) {
	real, err := Resolve(path)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|noFollow|nonBlock, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if err := checkFile(f, real, fi, forbidden, accepted); err != nil {
		return nil, nil, err
	}
	data, err := readAll(f, fi.Size(), limit)
	if errors.Is(err, ErrTooLarge) {
		return nil, nil, fmt.Errorf("%s: %w: more than %d bytes", real, err, limit)
	}
	return data, fi, err
}

// readAll reads to the end of a file that had this size. Unlike [io.ReadAll] it leaves
// no part of a secret in memory but what it returns.
func readAll(r io.Reader, size, limit int64) ([]byte, error) {
	buf := make([]byte, min(size, limit)+1) // one more, to see the end
	for n := 0; ; {
		if n == len(buf) { // it has grown, or the file system does not know sizes
			if int64(n) > limit {
				clear(buf)
				return nil, ErrTooLarge
			}
			larger := make([]byte, limit+1)
			copy(larger, buf)
			clear(buf)
			buf = larger
		}
		m, err := r.Read(buf[n:])
		n += m
		switch {
		case err == io.EOF:
			return buf[:n], nil
		case err != nil:
			clear(buf)
			return nil, err
		}
	}
}

// Lock locks the lock file at path, which it creates with mode 0600. It blocks until
// it has the lock or ctx ends. It excludes goroutines as well as processes. The lock
// ends with unlock or with the process. The file stays: if it were removed, two
// processes could hold the lock.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	real, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDWR|os.O_CREATE|noFollow|nonBlock, 0o600)
	if err != nil {
		return nil, err
	}
	// In a sticky directory it could belong to another user, who might never
	// release it.
	fi, err := f.Stat()
	if err == nil {
		err = checkFile(f, real, fi, Unforgeable, nil)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// A context cannot interrupt flock(2), so poll: the lock is held for
	// milliseconds.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := tryLock(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if ok {
			return f.Close, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}
