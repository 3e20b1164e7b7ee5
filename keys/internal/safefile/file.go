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

// ErrTooLarge is returned by Read for a file above the limit.
var ErrTooLarge = errors.New("file is larger than it may be")

// Read returns the content of a file of at most limit bytes, and a stamp by which
// to know whether it has changed since. forbidden is Private or Unforgeable. It
// blocks on the disk only: a FIFO in the file's place is refused, not waited for.
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
		return nil, nil, fmt.Errorf("%s: %w (%d bytes)", real, ErrTooLarge, limit)
	}
	return data, fi, nil
}

// MkdirPrivate makes a folder with mode 0700, and its parents with 0700 where
// they are missing, and checks the way to it. A folder that is there already must
// be ours and closed to others.
func MkdirPrivate(dir string) error {
	if err := supported(); err != nil {
		return err
	}
	// The part that is there must be safe before anything is made in it.
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
		return &InsecureError{real, fmt.Sprintf("folder is open to other users (mode %04o; chmod 0700 mends it)", fi.Mode().Perm())}
	}
	return nil
}

// Write puts data into a file in one step: whoever looks sees the old content or
// the new, also after a crash. Without replace it fails with fs.ErrExist if there
// is something at path. The folder must exist and be safe; a symbolic link at
// path is replaced, not followed. After an error the old file is untouched.
func Write(path string, data []byte, perm fs.FileMode, replace bool) error {
	if err := supported(); err != nil {
		return err
	}
	dir, err := walk(filepath.Dir(path))
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.Base(path))

	// CreateTemp makes it 0600 and exclusively, so the content is never
	// visible under a wider mode.
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
		// link(2) is the rename that fails where something exists.
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

// Remove deletes a file after the same walk as Read.
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

// Lock takes the lock file at path, which it creates with mode 0600, and blocks
// until it has it or ctx ends. Every open of the file is a lock of its own, so it
// excludes goroutines as well as processes. The lock ends with unlock or with
// the process. The file stays: removing it would let two hold it.
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
	// In a sticky folder it could be another user's, who would never let go.
	fi, err := f.Stat()
	if err == nil {
		err = checkFile(real, fi, Unforgeable)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// flock(2) can't be interrupted by a context, so ask again and again; the
	// holders need milliseconds.
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
