package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/remember"
	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/peercred"
	"github.com/sealport/sealport/peer/internal/pidfd"
)

// Identify makes an Identity of what the kernel attached to the peer's hello. It
// is for the connections of this module; for others there is [FromConn]. It asks the
// kernel once more about the process, does not block beyond those system calls, and
// may be called concurrently. c stays the caller's: the pidfd is duplicated. The
// caller closes the Identity.
//
// Errors: [ErrNoIdentity] when there are no credentials, or a kernel that has
// pidfds gave none (the descriptor table is full, the peer was reaped); [ErrGone]
// when the process has exited; [ErrContradiction] when the message names ids that
// the process does not have, or another user than root made its socket; else the
// kernel's, such as EMFILE. No error leaves anything open.
func Identify(c *cred.Credentials) (*Identity, error) {
	if c == nil {
		return nil, ErrNoIdentity
	}
	if c.AuditToken != [8]uint32{} {
		// Only a Mach kernel gives one, so this one is simulated.
		return identifyToken(c.AuditToken, codesign.Installed())
	}
	if c.PIDFD < 0 {
		return identifyWeak(c)
	}
	fd, err := pidfd.Dup(c.PIDFD)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	who := claimed(c)
	id, err := identifyPidfd(fd, who.pid, &who)
	if err != nil {
		return nil, err
	}
	if err := id.addCredentials(c); err != nil {
		return nil, errors.Join(err, id.Close())
	}
	return id, nil
}

// Self returns the identity of this process, with a pidfd of its own. Its
// [Identity.Binding] is what every peer finds in this process's credentials. It does
// not block, and may be called concurrently. The caller closes the Identity. Errors
// are the kernel's, such as EMFILE.
func Self() (*Identity, error) {
	fd, err := pidfd.Open(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("peer: own identity: %w", err)
	}
	return identifyPidfd(fd, uint32(os.Getpid()), nil)
}

// identifyConn makes an identity of the process that made the other end of a
// socket. It takes the pidfd over.
func identifyConn(k *peercred.Credentials) (*Identity, error) {
	id, err := identifyPidfd(k.PIDFD, uint32(max(k.Socket.PID, 0)), nil)
	if err != nil {
		return nil, err
	}
	// The connection was made with the rights of the process at that time. Those
	// that the process has gained since would count for every holder of its end.
	if err := id.hasIDs(k.Socket.UID, k.Socket.GID); err != nil {
		return nil, errors.Join(err, id.Close())
	}
	if k.ByNumber {
		id.byNumber, id.proc = true, numbered{known: linuxProcess{fd: k.PIDFD}}
	}
	id.connector = Connector{PID: uint32(max(k.Socket.PID, 0)), UID: k.Socket.UID, GID: k.Socket.GID}
	id.groups = &k.Groups
	id.label = trimLabel(k.Label)
	return id, nil
}

// identifyNumbered makes an identity of a pidfd of the caller's, which must be that
// of the process with this pid.
func identifyNumbered(pid, fd int) (*Identity, error) {
	own, err := pidfd.Dup(fd)
	if errors.Is(err, syscall.EBADF) {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	var number int
	if _, err = pidfd.Inode(own); err == nil {
		// The number is that of /proc, which is all there is before Linux 6.13.
		number, err = pidfd.Number(own)
	}
	if errors.Is(err, pidfd.ErrNotPidfd) {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoIdentity, err), pidfd.Close(own))
	}
	id, err := identifyPidfd(own, uint32(number), nil)
	if errors.Is(err, pidfd.ErrThread) {
		err = fmt.Errorf("%w: %w", ErrContradiction, err)
	}
	if err != nil {
		return nil, err
	}
	if got := id.token.PID(); uint64(got) != uint64(pid) {
		return nil, errors.Join(fmt.Errorf("%w: the pidfd is that of pid %d, not of %d", ErrContradiction, got, pid), id.Close())
	}
	return id, nil
}

// identifyPidfd makes an identity of a process, and takes fd over: it closes it if
// it fails. pid is what the caller knows, where the kernel does not tell; instead are
// the ids of a process that cannot be seen, or nil to refuse such a process.
func identifyPidfd(fd int, pid uint32, instead *ids) (*Identity, error) {
	id, err := readPidfd(fd, pid, instead)
	if err != nil {
		return nil, errors.Join(err, pidfd.Close(fd))
	}
	return id, nil
}

func readPidfd(fd int, pid uint32, instead *ids) (*Identity, error) {
	p := linuxProcess{fd: fd}
	inode, err := pidfd.Inode(fd)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	// A kernel may hand out the pidfd of a process that was reaped meanwhile.
	if err := p.alive(); err != nil {
		return nil, err
	}
	who, err := p.ids()
	switch {
	case err == nil:
	case instead != nil && invisible(err):
		who = *instead
	default:
		return nil, err
	}
	if who.pid != 0 {
		pid = who.pid
	}
	auid, asid, err := pidfd.ReadSession(fd)
	if err != nil && !invisible(err) { // else both are unset
		return nil, known(err)
	}
	id := &Identity{ids: who, proc: p}
	id.token = Token{
		words: [8]uint32{auid, who.euid, who.egid, who.ruid, who.rgid, pid, asid, uint32(inode)},
		weak:  inode == 0,
	}
	if id.binding, err = bindingOf(inode); err != nil {
		return nil, err
	}
	return id, nil
}

// invisible reports whether a process's ids could not be had because it lives in
// another pid namespace, or /proc hides it, rather than because descriptors or
// memory ran out, which would let a peer choose to be authorized by less.
func invisible(err error) bool {
	return errors.Is(err, pidfd.ErrForeign) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)
}

// identifyWeak is for kernels before Linux 6.5, which send no pidfds: the message
// and the socket tell ids, but /proc cannot be trusted.
func identifyWeak(c *cred.Credentials) (*Identity, error) {
	if here, err := pidfsHere(); here || err != nil {
		return nil, errors.Join(fmt.Errorf("%w: the kernel gave no pidfd", ErrNoIdentity), err)
	}
	if c.Message.PID <= 0 {
		// Zero pid and ids are also what forgotten credentials look like.
		return nil, fmt.Errorf("%w: neither pidfd nor pid", ErrNoIdentity)
	}
	return weakIdentity(c)
}

func weakIdentity(c *cred.Credentials) (*Identity, error) {
	who := claimed(c)
	id := &Identity{ids: who, proc: nowhere{}, token: Token{
		words: [8]uint32{unset, who.euid, who.egid, who.ruid, who.rgid, who.pid, unset, 0},
		weak:  true,
	}}
	var err error
	if id.binding, err = bindingOf(0); err != nil {
		return nil, err
	}
	if err := id.addCredentials(c); err != nil {
		return nil, err
	}
	return id, nil
}

// claimed returns the ids of the message. The kernel lets a sender choose among
// its real, effective and saved ids, more only with rights over its user
// namespace. The socket adds the effective ids at connect, if the same process made it.
func claimed(c *cred.Credentials) ids {
	who := ids{
		ruid: c.Message.UID, euid: c.Message.UID, rgid: c.Message.GID, egid: c.Message.GID,
		pid: uint32(max(c.Message.PID, 0)),
	}
	if c.Message.PID > 0 && c.Message.PID == c.Socket.PID {
		who.euid, who.egid = c.Socket.UID, c.Socket.GID
	}
	return who
}

// addCredentials checks the message and the socket against the process.
func (id *Identity) addCredentials(c *cred.Credentials) error {
	who, m, s := id.ids, c.Message, c.Socket
	if who.complete {
		if who.pid != 0 && m.PID > 0 && who.pid != uint32(m.PID) {
			return fmt.Errorf("%w: the hello came with pid %d, the pidfd is that of pid %d", ErrContradiction, m.PID, who.pid)
		}
		// A sender with rights over its pid namespace may name another process
		// there, whose pidfd the kernel then attaches; but not with ids that
		// do not exist in its user namespace.
		if !oneOf(m.UID, who.ruid, who.euid, who.suid) || !oneOf(m.GID, who.rgid, who.egid, who.sgid) {
			return fmt.Errorf("%w: the hello came with uid %d gid %d, the process has uid %d gid %d",
				ErrContradiction, m.UID, m.GID, who.ruid, who.rgid)
		}
	}
	// A user who makes a connection and has another user's process write to it
	// (sudo cat >&socket) would use that process's rights. Root need not.
	if s.UID != 0 && !oneOf(s.UID, m.UID, who.ruid, who.euid) && !(who.complete && s.UID == who.suid) {
		return fmt.Errorf("%w: uid %d made the socket that uid %d writes to", ErrContradiction, s.UID, m.UID)
	}
	id.connector = Connector{
		PID: uint32(max(s.PID, 0)), UID: s.UID, GID: s.GID,
		Differs: s.PID <= 0 || s.PID != m.PID,
	}
	id.label = trimLabel(c.Label)
	return nil
}

// trimLabel removes what LSMs put behind a label.
func trimLabel(label string) string { return strings.TrimRight(label, "\x00\n") }

func oneOf(n uint32, of ...uint32) bool {
	for _, m := range of {
		if n == m {
			return true
		}
	}
	return false
}

var bootID = remember.Success(pidfd.BootID)

// bindingOf is nil without an error where the boot id can't be read, such as without /proc.
func bindingOf(inode uint64) ([]byte, error) {
	boot, err := bootID()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if inode == 0 {
		return append([]byte("linux-weak/1"), boot[:]...), nil
	}
	b := append([]byte("linux-pidfs/1"), boot[:]...)
	return binary.BigEndian.AppendUint64(b, inode), nil
}

// pidfsHere reports whether this kernel's pidfds have inodes of their own.
var pidfsHere = remember.Success(func() (bool, error) {
	fd, err := pidfd.Open(os.Getpid())
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil // ENOSYS: before Linux 5.3
	}
	if err != nil {
		return false, err
	}
	defer pidfd.Close(fd)
	inode, err := pidfd.Inode(fd)
	return inode != 0, err
})
