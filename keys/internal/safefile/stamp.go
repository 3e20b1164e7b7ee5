package safefile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// settling is how old a file's last change must be when it is read, so that any later
// change has another time: the clocks of file systems tick in milliseconds (ext4,
// APFS) to two seconds (FAT).
const settling = 2 * time.Second

// Stamp is the state of a file when it was read. The zero Stamp means that there was
// no file.
type Stamp struct {
	fi      fs.FileInfo
	settled bool // false in the zero Stamp
}

// Changed reports whether the file at path was replaced or changed since. It costs one
// stat(2). If it cannot tell, because the file was read within two seconds of its last
// change or cannot be looked at, it returns true.
func (s Stamp) Changed(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return s.fi != nil || !errors.Is(err, fs.ErrNotExist)
	}
	return !s.settled || !os.SameFile(s.fi, now) || s.fi.Size() != now.Size() ||
		s.fi.Mode() != now.Mode() || !changeTime(s.fi).Equal(changeTime(now))
}

// IsZero reports whether s means that there was no file.
func (s Stamp) IsZero() bool { return s.fi == nil }
