//go:build !linux && !darwin

package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"
)

const (
	noFollow = 0
	nonBlock = 0
)

// supported returns an error: the meaning of owners and modes here is not verified.
func supported() error {
	return fmt.Errorf("key and trust files on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func owner(fs.FileInfo) (uid, gid uint32) { return 0, 0 }
func device(fs.FileInfo) uint64           { return 0 }
func changeTime(fi fs.FileInfo) time.Time { return fi.ModTime() }
func tryLock(*os.File) (bool, error)      { return false, supported() }
func renameNew(string, string) error      { return supported() }
func cannot(error) bool                   { return false }

// IsExhausted reports whether this process or the system has no descriptors or memory
// left.
func IsExhausted(error) bool { return false }
