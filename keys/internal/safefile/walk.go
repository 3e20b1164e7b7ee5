package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is the most symbolic links on one path, as in Linux (path_resolution(7)).
const maxLinks = 40

// Resolve checks every element of path and returns it absolute and without symbolic
// links. The last element need not exist; every directory before it must.
func Resolve(path string) (string, error) {
	if err := supported(); err != nil {
		return "", err
	}
	return walk(path, true)
}

// walk is Resolve. If the last element is a symbolic link, it is followed only with
// follow; without, it counts as a file.
func walk(path string, follow bool) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// Not filepath.EvalSymlinks, which would follow a link before its owner is
	// checked.
	const root = string(filepath.Separator)
	done, todo := root, strings.Split(strings.TrimPrefix(abs, root), root)
	fi, err := os.Lstat(root)
	if err != nil {
		return "", err
	}
	if err := checkDir(root, fi); err != nil {
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
			return next, checkHolder(done)
		}
		if err != nil {
			return "", err
		}
		switch {
		case fi.Mode()&fs.ModeSymlink != 0 && (follow || len(todo) > 0):
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
		default: // the file itself, which is checked once it is open
			return next, checkHolder(done)
		}
	}
	return done, nil
}

// checkDir checks that only root and this user can change the entries of a directory
// on the way. In a sticky directory others can add entries but not replace those of
// root and this user, and the owner of every element below is checked.
func checkDir(path string, fi fs.FileInfo) error {
	if err := checkOwner(path, fi); err != nil {
		return err
	}
	if err := checkMount(path, device(fi)); err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	g, err := writer(path, fi)
	if g == nil {
		return err
	}
	return &InsecureError{path, fmt.Sprintf("%s can %s: its mode is %04o; %s", g.who(), g.can(true), fi.Mode().Perm(), dirAdvice(*g))}
}

// checkHolder checks the directory that contains the file, which checkDir has checked as
// one on the way. Here a sticky bit is not enough. The owner of a file is the user who
// created it, not the one who put it there: others can move a file of this user or of
// root out of a directory of theirs, or make a hard link to it if the system lets them
// (fs.protected_hardlinks). They cannot do that with directories.
func checkHolder(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	g, err := writer(dir, fi)
	if g == nil {
		return err
	}
	return &InsecureError{dir, fmt.Sprintf("%s can put files there: its mode is %04o; use a directory below it that belongs to user %d",
		g.who(), fi.Mode().Perm()|0o1000, os.Geteuid())}
}

// writer returns a grant to others to create entries in a directory, or nil.
func writer(path string, fi fs.FileInfo) (*grant, error) {
	o := &object{path, fi, func() ([]byte, error) { return pathACL(path) }}
	return o.open(2, none)
}
