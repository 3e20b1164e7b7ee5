package safefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// aclAttribute holds a POSIX access control list (acl(5)).
const aclAttribute = "system.posix_acl_access"

// maxACL is the largest list that is read, in bytes: some 500 entries.
const maxACL = 4096

// fileACL returns the access control list of an open file, or nil if it has none.
func fileACL(f *os.File) (acl []byte, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := conn.Control(func(fd uintptr) {
		acl, err = readACL(f.Name(), func(b []byte) (int, error) { return unix.Fgetxattr(int(fd), aclAttribute, b) })
	})
	return acl, errors.Join(controlErr, err)
}

// pathACL returns the access control list of the directory at path.
func pathACL(path string) ([]byte, error) {
	return readACL(path, func(b []byte) (int, error) { return unix.Lgetxattr(path, aclAttribute, b) })
}

func readACL(path string, get func([]byte) (int, error)) ([]byte, error) {
	b := make([]byte, maxACL)
	n, err := get(b)
	switch {
	case err == nil:
		return b[:n], nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return nil, nil // no list, or a file system without lists
	default:
		return nil, &os.PathError{Op: "getxattr", Path: path, Err: err}
	}
}
