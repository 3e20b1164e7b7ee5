package safefile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// settling is how old a file's last change must be when it is read for the time
// of change to tell it from any later one: file systems stamp by a clock that
// ticks in milliseconds (ext4, APFS) to two seconds (FAT).
const settling = 2 * time.Second

// Stamp is what a file was like when it was read. The zero Stamp stands for "there
// was no file".
type Stamp struct {
	fi      fs.FileInfo
	settled bool
}

// Changed reports whether the file at path is another one, or has other content,
// than when the stamp was made. It costs one stat(2), and says yes when in doubt:
// where the file was read within two seconds of its last change, and where it
// can't be looked at.
func (s Stamp) Changed(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return s.fi != nil || !errors.Is(err, fs.ErrNotExist)
	}
	return s.fi == nil || !s.settled || !os.SameFile(s.fi, now) || s.fi.Size() != now.Size() ||
		s.fi.Mode() != now.Mode() || !changeTime(s.fi).Equal(changeTime(now))
}

// IsZero reports whether the stamp stands for "there was no file".
func (s Stamp) IsZero() bool { return s.fi == nil }
