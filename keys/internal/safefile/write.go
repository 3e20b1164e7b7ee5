package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNotDurable is returned if the change is made, and others see it, but the
// directory could not be written to the disk: after a crash of the system the file may
// be as it was before.
var ErrNotDurable = errors.New("the change is made but may not survive a crash of the system")

// Write writes a file atomically: readers see the old content or the new, even after
// a crash. With replace a symbolic link at path is followed. Without, Write fails with
// [fs.ErrExist] if path exists, also as a link. The directory must exist and be safe.
// data is not kept.
//
// A new file has mode 0600. One that replaces another can be read by the same group and
// by others, if widest allows that and as far as the system lets this process give files
// to that group. It has no access control list.
//
// After an error the old file is unchanged, except after [ErrNotDurable]. It fails with
// [errors.ErrUnsupported] without replace where the file system can create no file
// without replacing another, and with [ErrInsecure] where it does not keep owners and
// modes.
//
// Write removes temporary files of earlier calls for the same path that were killed.
func Write(path string, data []byte, widest fs.FileMode, replace bool) error {
	d, target, err := begin(path, replace)
	if err != nil {
		return err
	}
	defer d.Close()
	temp, err := createTemp(target)
	if err != nil {
		return err
	}
	defer temp.Close() // it holds the lock that says that this process lives
	perm, gid := readers(target, widest)
	err = fill(temp.Name(), data, perm, gid)
	if err == nil {
		err = commit(temp, target, replace)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // if this fails, the next Write sweeps it
		return err
	}
	return durable(d, target)
}

// begin is the common beginning of changes: it checks the path, opens the directory and
// removes the temporary files of writers that were killed. target is the path without
// symbolic links, but the last one if follow is not set.
func begin(path string, follow bool) (d *os.File, target string, err error) {
	if err := supported(); err != nil {
		return nil, "", err
	}
	if target, err = walk(path, follow); err != nil {
		return nil, "", err
	}
	// Opened before anything is changed: afterwards it could only fail too late.
	if d, err = os.Open(filepath.Dir(target)); err != nil {
		return nil, "", err
	}
	sweep(d, target)
	return d, target, nil
}

// readers returns the mode of a file that replaces target, and its group, or -1 for any
// if there is no target.
func readers(target string, widest fs.FileMode) (perm fs.FileMode, gid int) {
	fi, err := os.Lstat(target)
	if err != nil {
		return 0o600, -1
	}
	perm = 0o600 | fi.Mode()&widest&0o044
	// With a list the bits of the group are the list's mask.
	if acl, err := pathACL(target); err != nil || len(acl) > 0 {
		perm &^= 0o040
	}
	_, id := owner(fi)
	return perm, int(id)
}

// fill writes the content of a temporary file. It closes the file, because some file
// systems say only then that they could not write it.
func fill(temp string, data []byte, perm fs.FileMode, gid int) (err error) {
	f, err := os.OpenFile(temp, os.O_WRONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Chown(-1, gid) != nil {
		perm &^= 0o040 // it would be for another group
	}
	if err := setMode(f, perm); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return flush(f)
}

// setMode sets the mode of a new file and checks that it can be read again later: that
// it is this user's, and not open to others, which vfat and some network file systems
// make of every file. Nothing has been written to it yet.
func setMode(f *os.File, perm fs.FileMode) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Mode().Perm() != perm {
		chmodErr := f.Chmod(perm)
		if fi, err = f.Stat(); err != nil {
			return err
		}
		if fi.Mode().Perm()&^perm&Private != 0 {
			return &InsecureError{filepath.Dir(f.Name()), fmt.Sprintf("a new file here has the mode %04o, which cannot be changed to %04o (%v): "+
				"the file system does not keep modes; mount it with umask=077, or use another directory", fi.Mode().Perm(), perm, chmodErr)}
		}
	}
	return checkFileOwner(f, f.Name(), fi)
}

// commit gives a temporary file its name. After an error the name is what it was.
func commit(temp *os.File, target string, replace bool) error {
	var err error
	if replace {
		err = os.Rename(temp.Name(), target)
	} else {
		err = commitNew(temp.Name(), target)
	}
	if err == nil {
		return nil
	}
	// A file server can have done it before its answer was lost: NFS then repeats
	// the request and reports that the name exists.
	ours, _ := temp.Stat()
	now, _ := os.Lstat(target)
	if os.SameFile(ours, now) { // false if either has failed
		_ = os.Remove(temp.Name()) // a second name, if it was linked
		return nil
	}
	return err
}

// commitNew fails with fs.ErrExist if the target exists. Not every file system can
// rename without replacing, and not every one has links.
func commitNew(temp, target string) error {
	renameErr := renameNew(temp, target)
	if !cannot(renameErr) {
		return renameErr // nil, too
	}
	// Unlike rename(2), link(2) fails if the target exists.
	err := os.Link(temp, target)
	switch {
	case err == nil:
		_ = os.Remove(temp) // if this fails, the next Write sweeps it
		return nil
	case cannot(err), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: the file system cannot create a file without replacing another one; use a directory on another file system: %w: %w, %w",
			target, errors.ErrUnsupported, renameErr, err)
	default:
		return err
	}
}

// durable writes the names of a directory to the disk after a change of target.
func durable(d *os.File, target string) error {
	if err := flush(d); err != nil {
		return fmt.Errorf("%s: %w: %w", target, ErrNotDurable, err)
	}
	return nil
}

// Remove deletes a file after the same walk as [Read], and the temporary files of
// calls of [Write] for it that were killed. A symbolic link is deleted, not what it
// leads to. After an error the file is still there, except after [ErrNotDurable].
func Remove(path string) error {
	d, target, err := begin(path, false)
	if err != nil {
		return err
	}
	defer d.Close()
	fi, err := os.Lstat(target)
	if err != nil {
		return err
	}
	if fi.IsDir() { // os.Remove would delete an empty one
		return &fs.PathError{Op: "remove", Path: target, Err: syscall.EISDIR}
	}
	if err := os.Remove(target); err != nil {
		// As in commit, the answer can be lost.
		if _, lookErr := os.Lstat(target); !errors.Is(lookErr, fs.ErrNotExist) {
			return err
		}
	}
	return durable(d, target)
}
