package safefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrTooLarge is returned by [Read] for a file above the limit.
var ErrTooLarge = errors.New("file is too large")

// Read returns the content of a file of at most limit bytes, in a slice that the
// caller owns, and a stamp that tells whether the file has changed since. forbidden
// is [Private] or [Unforgeable]. A FIFO in the file's place is refused without
// waiting for it.
//
// It fails with [ErrInsecure], [ErrTooLarge] or an error of the file system.
func Read(path string, limit int64, forbidden fs.FileMode) ([]byte, Stamp, error) {
	data, fi, err := read(path, limit, forbidden)
	if err != nil {
		return nil, Stamp{}, err
	}
	return data, Stamp{fi: fi, settled: time.Since(changeTime(fi)) > settling}, nil
}

func read(path string, limit int64, forbidden fs.FileMode) ([]byte, fs.FileInfo, error) {
	if err := supported(); err != nil {
		return nil, nil, err
	}
	real, err := walk(path)
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
	if err := checkFile(real, fi, forbidden); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s: %w: more than %d bytes", real, ErrTooLarge, limit)
	}
	return data, fi, nil
}

// MkdirPrivate creates a directory and its missing parents with mode 0700 and checks
// the path. A directory that exists must belong to root or this process's user and
// be closed to others.
func MkdirPrivate(dir string) error {
	if err := supported(); err != nil {
		return err
	}
	// The part that exists must be safe before anything is created in it.
	there, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		if _, err := os.Lstat(there); err == nil || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	if _, err := walk(there); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	real, err := walk(dir)
	if err != nil {
		return err
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return err
	}
	if fi.Mode()&Private != 0 {
		return &InsecureError{real, fmt.Sprintf("directory is open to other users: its mode is %04o; run chmod 0700", fi.Mode().Perm())}
	}
	return nil
}

// Write writes a file atomically: readers see the old content or the new, even after
// a crash. Without replace it fails with [fs.ErrExist] if path exists. The directory
// must exist and be safe. A symbolic link at path is replaced, not followed. data is
// not kept. After an error the old file is unchanged, except if only making the new
// name durable failed.
func Write(path string, data []byte, perm fs.FileMode, replace bool) error {
	if err := supported(); err != nil {
		return err
	}
	dir, err := walk(filepath.Dir(path))
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.Base(path))

	// CreateTemp creates the file exclusively with mode 0600, so the content is
	// never visible under a wider mode.
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails harmlessly once it has been renamed
	if err := writeAll(f, data, perm); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), target)
	} else {
		// Unlike rename(2), link(2) fails if the target exists.
		err = os.Link(f.Name(), target)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func writeAll(f *os.File, data []byte, perm fs.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes the new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove deletes a file after the same walk as [Read].
func Remove(path string) error {
	if err := supported(); err != nil {
		return err
	}
	dir, err := walk(filepath.Dir(path))
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.Base(path))
	if err := os.Remove(target); err != nil {
		return err
	}
	return syncDir(dir)
}

// Lock locks the lock file at path, which it creates with mode 0600. It blocks until
// it has the lock or ctx ends. It excludes goroutines as well as processes. The lock
// ends with unlock or with the process. The file stays: if it were removed, two
// processes could hold the lock.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	if err := supported(); err != nil {
		return nil, err
	}
	real, err := walk(path)
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
		err = checkFile(real, fi, Unforgeable)
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
