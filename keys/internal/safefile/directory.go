package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// MkdirPrivate creates a directory and its missing parents with mode 0700 and checks
// the path. A directory that exists must belong to root or this process's user and
// be closed to others. After an error some of the directories may have been created.
func MkdirPrivate(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// The part that exists must be safe before anything is created in it.
	there, missing := dir, []string(nil)
	for ; there != filepath.Dir(there); there = filepath.Dir(there) {
		if _, err := os.Lstat(there); err == nil {
			break
		}
		missing = append(missing, there)
	}
	real, err := Resolve(there)
	if err != nil {
		return err
	}
	for _, next := range slices.Backward(missing) {
		if err := os.Mkdir(next, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// In a sticky directory another user can have been first.
		if real, err = walk(next, true); err != nil {
			return err
		}
		// What is written there is as durable as the names that lead to it.
		if err := syncPath(filepath.Dir(next)); err != nil {
			return err
		}
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: real, Err: errors.New("not a directory")}
	}
	o := &object{real, fi, func() ([]byte, error) { return pathACL(real) }}
	g, err := o.open(Private&7, none)
	if g == nil {
		return err
	}
	return &InsecureError{real, fmt.Sprintf("%s can %s: its mode is %04o; run chmod 0700, or use a directory with that mode that belongs to user %d",
		g.who(), g.can(true), fi.Mode().Perm(), os.Geteuid())}
}

// syncPath makes the names in a directory durable. One that may be written but not
// read cannot be opened for that.
func syncPath(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return flush(d)
}

// flush writes an open file or directory to the disk, if its file system can do that.
func flush(f *os.File) error {
	if err := f.Sync(); err != nil && !cannot(err) {
		return err
	}
	return nil
}
