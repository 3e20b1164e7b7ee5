package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrInsecure matches every *InsecureError.
var ErrInsecure = errors.New("file is open to other users")

// InsecureError says which file or folder is open to other users, and how.
type InsecureError struct {
	Path   string // the file, folder or link that is at fault
	Reason string // for people
}

func (e *InsecureError) Error() string { return e.Path + ": " + e.Reason }

// Unwrap lets errors.Is(err, ErrInsecure) hold.
func (e *InsecureError) Unwrap() error { return ErrInsecure }

const (
	// Private forbids others to read or write: for secrets.
	Private fs.FileMode = 0o077
	// Unforgeable forbids others to write: for lists that may be read.
	Unforgeable fs.FileMode = 0o022
)

// maxLinks bounds the symbolic links on one path, as Linux does (path_resolution(7)).
const maxLinks = 40

// walk checks every step of path and returns it without symbolic links. The last
// step need not exist; every folder before it must.
func walk(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// Step by step and not by filepath.EvalSymlinks, which would follow a link
	// before anybody has looked at whose it is.
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
			// The link is replaced by what it says, which is walked and
			// checked like everything else.
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
			return "", &fs.PathError{Op: "open", Path: next, Err: errors.New("not a folder")}
		default:
			done = next // the file itself: its opener checks it
		}
	}
	return done, nil
}

// checkStep checks one folder by name.
func checkStep(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return checkDir(path, fi)
}

// checkDir demands that only root and we can change what is in a folder. In a
// sticky folder others can add, but not replace what is ours or root's; every
// step below it is checked for its owner.
func checkDir(path string, fi fs.FileInfo) error {
	if err := checkOwner(path, fi); err != nil {
		return err
	}
	if fi.Mode()&Unforgeable != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return &InsecureError{path, fmt.Sprintf("folder is writable by other users (mode %04o; chmod go-w mends it)", fi.Mode().Perm())}
	}
	return nil
}

// checkOwner demands that root or we own a file.
func checkOwner(path string, fi fs.FileInfo) error {
	uid, err := owner(fi)
	if err != nil {
		return err
	}
	if uid != 0 && int(uid) != os.Geteuid() {
		return &InsecureError{path, fmt.Sprintf("belongs to user %d, neither to root nor to user %d", uid, os.Geteuid())}
	}
	return nil
}

// checkFile demands a regular file of ours or root's without the forbidden bits.
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
		return &InsecureError{path, fmt.Sprintf("file is %s by other users (mode %04o; chmod %04o mends it)", what, fi.Mode().Perm(), fi.Mode().Perm()&^forbidden)}
	}
	return nil
}
