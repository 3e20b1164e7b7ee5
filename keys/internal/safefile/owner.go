package safefile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// In a user namespace without a mapping for every user, all users that it does not
// know look like one: the overflow user, 65534. Root is usually among them, so that
// "/" and /home belong to the overflow user. Any other user of the machine may be too.
//
// A directory or link of an unknown owner is accepted on the way to a file, as root's
// is elsewhere, because the file at its end has to be this user's: its owner could
// hide the file, or put another file of this user in its place, but not one of its own.
// It is refused where others can create entries, as in /tmp, because any of them could
// have made it. A file of an unknown owner is refused.

// checkOwner checks that root or this user owns a directory or link, or a user whom
// this user namespace does not know.
func checkOwner(path string, fi fs.FileInfo) error {
	uid, _ := owner(fi)
	if uid == 0 {
		return nil
	}
	unknown, err := unmapped("uid", uid)
	if err != nil {
		return err
	}
	ours := int(uid) == os.Geteuid()
	switch {
	case ours && !unknown:
		return nil
	case !unknown:
		return strangers(path, uid)
	}
	parent := filepath.Dir(path)
	above, err := os.Lstat(parent)
	if err != nil {
		return err
	}
	if path != parent && above.Mode()&Unforgeable != 0 {
		if ours, err = ownsDir(path, fi); err != nil {
			return err
		}
		if !ours {
			return &InsecureError{path, fmt.Sprintf("owner is unknown in this user namespace (shown as user %d), and others can create entries in %s; "+
				"use a path whose directories belong to user %d", uid, parent, os.Geteuid())}
		}
	}
	return nil
}

// ownsDir reports whether a directory that may look like this user's is. A link is not.
func ownsDir(path string, fi fs.FileInfo) (bool, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|noFollow|nonBlock, 0)
	if err != nil {
		if IsExhausted(err) {
			return false, err
		}
		return false, nil
	}
	defer d.Close()
	now, err := d.Stat()
	return err == nil && os.SameFile(fi, now) && isOwner(d), nil
}

// checkFileOwner checks that root or this user owns an open file.
func checkFileOwner(f *os.File, path string, fi fs.FileInfo) error {
	uid, _ := owner(fi)
	if uid == 0 {
		return nil
	}
	shown, err := overflow("uid", uid)
	if err != nil {
		return err
	}
	ours := int(uid) == os.Geteuid()
	if ours && (!shown || isOwner(f)) {
		return nil
	}
	unknown, err := unmapped("uid", uid)
	switch {
	case err != nil:
		return err
	case ours || unknown:
		return &InsecureError{path, fmt.Sprintf("owner is unknown in this user namespace (shown as user %d); "+
			"use a copy that belongs to user %d, in a directory of that user", uid, os.Geteuid())}
	default:
		return strangers(path, uid)
	}
}

// strangers is the error for what another user owns.
func strangers(path string, uid uint32) error {
	return &InsecureError{path, fmt.Sprintf("owner is user %d, who can change it; it must belong to root or user %d: run chown %d",
		uid, os.Geteuid(), os.Geteuid())}
}
