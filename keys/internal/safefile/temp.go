package safefile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// A temporary file has the content of its target, perhaps a secret, and stays if its
// writer is killed. Its name says which target it is for, so that the next writer of
// that target finds it, and its writer holds a lock on it, which ends with the process,
// so that nobody removes the file of a writer that lives, however slow.
//
// Where a file system has no locks, temporary files stay.

// maxAttempts is how often a new temporary file may be taken for a killed writer's
// before it is locked.
const maxAttempts = 100

// tempPrefix begins the names of temporary files for target. It is short for every
// target, because the names of files are limited to some 255 bytes.
func tempPrefix(target string) string {
	sum := sha256.Sum256([]byte(filepath.Base(target)))
	return ".tmp-" + hex.EncodeToString(sum[:8]) + "-"
}

// createTemp creates a temporary file beside target with mode 0600 and locks it, until
// it is closed.
func createTemp(target string) (*os.File, error) {
	for range maxAttempts {
		// CreateTemp creates the file exclusively with mode 0600, so that the
		// content is never visible under a wider mode.
		f, err := os.CreateTemp(filepath.Dir(target), tempPrefix(target)+"*")
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(f)
		if err != nil { // no locks, so nobody sweeps
			return f, nil
		}
		if locked {
			if _, err := os.Lstat(f.Name()); err == nil {
				return f, nil
			}
		}
		// Another writer found it between its creation and its lock. It is empty.
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("temporary files disappear as soon as they are created: " + filepath.Dir(target))
}

// sweep removes the temporary files for target, in its open directory, whose writers
// were killed. It does what it can: a file that it cannot remove harms no writer.
func sweep(d *os.File, target string) {
	names, err := d.Readdirnames(-1)
	if err != nil {
		return
	}
	prefix := tempPrefix(target)
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			sweepOne(filepath.Join(filepath.Dir(target), name))
		}
	}
}

func sweepOne(path string) {
	// In a directory such as /tmp it could be another user's, and anything.
	fi, err := os.Lstat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return
	}
	if uid, _ := owner(fi); int(uid) != os.Geteuid() {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR|noFollow|nonBlock, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if dead, err := tryLock(f); dead && err == nil {
		_ = os.Remove(path)
	}
}
