package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrInsecure matches every [*InsecureError].
var ErrInsecure = errors.New("file is open to other users")

// InsecureError says which file or directory is open to other users, and why.
type InsecureError struct {
	Path   string // the file, directory or link at fault
	Reason string // what is wrong and how to correct it
}

func (e *InsecureError) Error() string { return e.Path + ": " + e.Reason }

// Unwrap returns [ErrInsecure].
func (e *InsecureError) Unwrap() error { return ErrInsecure }

const (
	// Private forbids others to read or write, for secrets.
	Private fs.FileMode = 0o077
	// Unforgeable forbids others to write, for lists that may be read.
	Unforgeable fs.FileMode = 0o022
)

// maxLinks is the most symbolic links on one path, as in Linux (path_resolution(7)).
const maxLinks = 40

// walk checks every element of path and returns it without symbolic links. The last
// element need not exist; every directory before it must.
func walk(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// Not filepath.EvalSymlinks, which would follow a link before its owner is
	// checked.
	const root = string(filepath.Separator)
	done, todo := root, strings.Split(strings.TrimPrefix(abs, root), root)
	if err := checkStep(root); err != nil {
		return "", err
	}
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..": // only from a link: filepath.Abs has cleaned the rest
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, name)
		fi, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) && len(todo) == 0 {
			return next, nil
		}
		if err != nil {
			return "", err
		}
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			if err := checkOwner(next, fi); err != nil {
				return "", err
			}
			if links++; links > maxLinks {
				return "", fmt.Errorf("%s: more than %d symbolic links", path, maxLinks)
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			// The link is replaced by its target, which is walked and checked
			// in turn.
			if filepath.IsAbs(target) {
				done = root
			}
			todo = append(strings.Split(target, root), todo...)
		case fi.IsDir():
			if err := checkDir(next, fi); err != nil {
				return "", err
			}
			done = next
		case len(todo) > 0:
			return "", &fs.PathError{Op: "open", Path: next, Err: errors.New("not a directory")}
		default:
			done = next // the file itself, which is checked once it is open
		}
	}
	return done, nil
}

// checkStep checks one directory by name.
func checkStep(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return checkDir(path, fi)
}

// checkDir checks that only root and this user can change the entries of a
// directory. In a sticky directory others can add entries but not replace those of
// root and this user, and the owner of every element below is checked.
func checkDir(path string, fi fs.FileInfo) error {
	if err := checkOwner(path, fi); err != nil {
		return err
	}
	if fi.Mode()&Unforgeable != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return &InsecureError{path, fmt.Sprintf("directory is writable by other users: its mode is %04o; run chmod go-w", fi.Mode().Perm())}
	}
	return nil
}

// checkOwner checks that root or this user owns a file.
func checkOwner(path string, fi fs.FileInfo) error {
	uid, err := owner(fi)
	if err != nil {
		return err
	}
	if uid != 0 && int(uid) != os.Geteuid() {
		return &InsecureError{path, fmt.Sprintf("owner is user %d, but must be root or user %d; run chown", uid, os.Geteuid())}
	}
	return nil
}

// checkFile checks for a regular file of root or this user without the forbidden
// bits.
func checkFile(path string, fi fs.FileInfo, forbidden fs.FileMode) error {
	if !fi.Mode().IsRegular() {
		return &InsecureError{path, "not a regular file"}
	}
	if err := checkOwner(path, fi); err != nil {
		return err
	}
	if fi.Mode()&forbidden != 0 {
		what := "writable"
		if forbidden&0o044 != 0 {
			what = "readable"
		}
		return &InsecureError{path, fmt.Sprintf("file is %s by other users: its mode is %04o; run chmod %04o", what, fi.Mode().Perm(), fi.Mode().Perm()&^forbidden)}
	}
	return nil
}
