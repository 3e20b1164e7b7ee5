package safefile

import "io/fs"

// ChangeTime returns the time of change by which a Stamp goes.
var ChangeTime = changeTime

// Settled returns the stamp as if the file had not changed for long before it was
// read, so that tests need not wait.
func Settled(s Stamp) Stamp {
	s.settled = true
	return s
}

// Granted returns all that a file's mode and access control list grant to others.
func Granted(mode fs.FileMode, gid uint32, acl []byte) (perm fs.FileMode, err error) {
	all, err := grants(mode, gid, acl)
	for _, g := range all {
		perm |= g.perm
	}
	return perm, err
}

// TempPrefix begins the names of the temporary files for a path.
var TempPrefix = tempPrefix

// ReadAll reads what Read returns.
var ReadAll = readAll
