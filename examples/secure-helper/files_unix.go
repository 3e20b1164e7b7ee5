//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// onlyOursToChange returns errOpen unless only root and the helper's own user can
// change the file or directory at path, or put another one in its place.
func onlyOursToChange(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: %s is not an absolute path", errOpen, path)
	}
	path = filepath.Clean(path)
	for p := path; ; p = filepath.Dir(p) {
		fi, err := os.Lstat(p)
		if err != nil {
			return err
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%w: %s is a symbolic link; give the path that it points to", errOpen, p)
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("%w: %s belongs to another user; change its owner to root", errOpen, p)
		}
		// In a sticky directory such as /tmp users cannot replace each other's files.
		sticky := p != path && fi.Mode()&fs.ModeSticky != 0
		if fi.Mode().Perm()&0o022 != 0 && !sticky {
			return fmt.Errorf("%w: %s is writable by others (mode %04o); run chmod go-w on it", errOpen, p, fi.Mode().Perm())
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
