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
	if fi.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	o := &object{path, fi, func() ([]byte, error) { return pathACL(path) }}
	g, err := o.open(2, none)
	if g == nil || err != nil {
		return err
	}
	return &InsecureError{path, fmt.Sprintf("%s can %s: its mode is %04o; %s", g.who(), g.can(true), fi.Mode().Perm(), dirAdvice(*g))}
}
