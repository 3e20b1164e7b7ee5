package safefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrInsecure matches every [*InsecureError].
var ErrInsecure = errors.New("file is open to other users")

// InsecureError says which file or directory is open to other users, and why.
type InsecureError struct {
	Path   string // the file, directory or link at fault
	Reason string // what is wrong and how to correct it
}

func (e *InsecureError) Error() string { return e.Path + ": " + e.Reason }

// Unwrap returns [ErrInsecure].
func (e *InsecureError) Unwrap() error { return ErrInsecure }

const (
	// Private forbids others to read or write, for secrets.
	Private fs.FileMode = 0o077
	// Unforgeable forbids others to write, for lists that may be read.
	Unforgeable fs.FileMode = 0o022
)

// class says to whom a grant is made.
type class int

const (
	nobody class = iota // of the zero Access
	user
	group
	others
)

// grant is what a class of users other than the owner may do with a file.
type grant struct {
	class class
	id    uint32      // of the user or group
	perm  fs.FileMode // of 4 (read), 2 (write) and 1 (execute, search)
}

// Access is a grant that a caller of [Read] accepts although the file is [Private].
type Access struct {
	class class
	id    uint32
}

// GroupMayRead accepts that a group can read a file.
func GroupMayRead(gid uint32) Access { return Access{group, gid} }

// EveryoneMayRead accepts that every user can read a file.
func EveryoneMayRead() Access { return Access{class: others} }

// accepts reports whether a covers what g grants, if it is no more than reading.
func (a Access) accepts(g grant) bool {
	return a.class == others || a.class == g.class && a.id == g.id
}

// who names the users of a grant in messages.
func (g grant) who() string {
	switch g.class {
	case user:
		return fmt.Sprintf("user %d", g.id)
	case group:
		return fmt.Sprintf("group %d", g.id)
	default:
		return "every user"
	}
}

// can says in messages what the users of a grant can do, the worst of it.
func (g grant) can(dir bool) string {
	switch {
	case g.perm&2 != 0 && dir:
		return "replace what is in it"
	case g.perm&2 != 0:
		return "write it"
	case g.perm&4 != 0 && dir:
		return "list it"
	case g.perm&4 != 0:
		return "read it"
	case dir:
		return "search it"
	default:
		return "execute it"
	}
}

// grants returns who may use a file besides its owner. Mode and access control list are
// of the same file. Without a list, the middle bits of the mode are the group's. With
// one, they are the mask: the most that the list grants to anyone.
func grants(mode fs.FileMode, gid uint32, acl []byte) ([]grant, error) {
	all := []grant{{others, 0, mode & 7}}
	if len(acl) == 0 {
		return append(all, grant{group, gid, mode >> 3 & 7}), nil
	}
	list, err := parseACL(acl, gid)
	if err != nil {
		return nil, err
	}
	for _, g := range list {
		g.perm &= mode >> 3 & 7
		all = append(all, g)
	}
	return all, nil
}

// The value of the extended attribute system.posix_acl_access, from
// linux/posix_acl_xattr.h: a version, and entries of a tag, permissions and an ID, all
// in little-endian order.
const (
	aclVersion  = 2
	aclHeader   = 4
	aclEntry    = 8
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

var errACL = errors.New("its access control list is not understood")

// parseACL returns the grants of the access control list of a file of this group, before
// its mask is applied, except those of the owner and of others, which the mode has too.
// Users and groups that this user namespace does not know have an ID that no process
// has, 1<<32-1.
func parseACL(raw []byte, gid uint32) (list []grant, err error) {
	if len(raw) <= aclHeader || (len(raw)-aclHeader)%aclEntry != 0 || binary.LittleEndian.Uint32(raw) != aclVersion {
		return nil, errACL
	}
	for e := raw[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		g := grant{id: binary.LittleEndian.Uint32(e[4:]), perm: fs.FileMode(binary.LittleEndian.Uint16(e[2:]) & 7)}
		switch binary.LittleEndian.Uint16(e) {
		case aclUserObj, aclMask, aclOther:
			continue
		case aclUser:
			g.class = user
		case aclGroupObj:
			g.class, g.id = group, gid
		case aclGroup:
			g.class = group
		default:
			return nil, errACL
		}
		list = append(list, g)
	}
	return list, nil
}

// object is a file or directory that is checked.
type object struct {
	path string
	fi   fs.FileInfo
	acl  func() ([]byte, error) // reads its access control list
}

// open returns the first grant of any of the permissions in denied (4, 2, 1) to users
// other than root and this process's that accepted does not accept, or nil. With an error
// it returns nil.
func (o *object) open(denied fs.FileMode, accepted func(grant) bool) (*grant, error) {
	mode := o.fi.Mode().Perm()
	var acl []byte
	var err error
	if mode>>3&denied != 0 { // only then a list can grant any of it
		if acl, err = o.acl(); err != nil {
			return nil, err
		}
	}
	_, gid := owner(o.fi)
	all, err := grants(mode, gid, acl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.path, err)
	}
	for _, g := range all {
		ours := g.class == user && (g.id == 0 || int(g.id) == os.Geteuid())
		if g.perm&denied != 0 && !ours && !accepted(g) {
			return &g, nil
		}
	}
	return nil, nil
}

// none accepts no grant.
func none(grant) bool { return false }

// checkFile checks for a regular file of root or this user without the forbidden
// permissions for others, except those that accepted names.
//
// A file of root that the group of this process can read is what service managers make
// for a process that is not root. Root has chosen the group, so it is accepted.
func checkFile(f *os.File, path string, fi fs.FileInfo, forbidden fs.FileMode, accepted []Access) error {
	if !fi.Mode().IsRegular() {
		return &InsecureError{path, "not a regular file"}
	}
	if err := checkFileOwner(f, path, fi); err != nil {
		return err
	}
	uid, _ := owner(fi)
	ours := int(uid) == os.Geteuid()
	var forGroup bool // a file of root, and this user namespace knows the group of this process
	if !ours {
		unknown, err := unmapped("gid", uint32(os.Getegid()))
		if err != nil {
			return err
		}
		forGroup = !unknown
	}
	o := &object{path, fi, func() ([]byte, error) { return fileACL(f) }}
	g, err := o.open(forbidden&7, func(g grant) bool {
		if g.perm&2 != 0 {
			return false
		}
		for _, a := range accepted {
			if a.accepts(g) {
				return true
			}
		}
		return forGroup && g.class == group && int(g.id) == os.Getegid()
	})
	if g == nil {
		return err
	}
	return &InsecureError{path, fmt.Sprintf("%s can %s: its mode is %04o; %s", g.who(), g.can(false), fi.Mode().Perm(), fileAdvice(*g, fi, ours))}
}

// fileAdvice says how to take away a grant without taking the file from this process.
func fileAdvice(g grant, fi fs.FileInfo, ours bool) string {
	mode := fi.Mode().Perm()
	if g.perm&2 != 0 {
		return dirAdvice(g)
	}
	var close, accept string
	switch {
	case g.class == user:
		close = fmt.Sprintf("run setfacl -x u:%d", g.id)
	case ours:
		close = fmt.Sprintf("run chmod %04o", mode&0o700)
	default:
		close = fmt.Sprintf("run chgrp %d and chmod %04o, so that only the group of this process can read it", os.Getegid(), mode&0o500|0o040)
	}
	switch g.class {
	case user:
		return close
	case group:
		accept = fmt.Sprintf("keys.GroupMayRead(%d)", g.id)
	default:
		accept = "keys.EveryoneMayRead"
	}
	return close + ", or accept it with " + accept
}

// dirAdvice says how to forbid users to write.
func dirAdvice(g grant) string {
	switch g.class {
	case user:
		return fmt.Sprintf("run setfacl -m u:%d:r-X", g.id)
	case group:
		return "run chmod g-w"
	default:
		return "run chmod o-w"
	}
}
