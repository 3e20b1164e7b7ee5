package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/remember"
	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/pidfd"
)

// Identify makes an Identity of what the kernel attached to the peer's hello.
// It asks the kernel once more about the process and blocks for no longer than
// those system calls. c stays the caller's: the pidfd is duplicated.
//
// Errors: ErrNoIdentity when there are no credentials or the kernel that has
// pidfds gave none (the descriptor table is full, the peer was reaped), ErrGone
// when the process has exited, ErrContradiction when the message names ids that
// the process does not have, or another user than root made its socket.
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
		return nil, err
	}
	id, err := identifyPidfd(fd, c)
	if err != nil {
		return nil, errors.Join(err, pidfd.Close(fd))
	}
	return id, nil
}

// Self returns the identity of this process, with a pidfd of its own. Its Binding
// is what every peer finds in this process's credentials.
func Self() (*Identity, error) {
	fd, err := pidfd.Open(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("own identity: %w", err)
	}
	id, err := identifyPidfd(fd, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("own identity: %w", err), pidfd.Close(fd))
	}
	return id, nil
}

// identifyPidfd takes fd over if it succeeds. c is nil for this process itself.
func identifyPidfd(fd int, c *cred.Credentials) (*Identity, error) {
	p := linuxProcess{fd: fd}
	inode, err := pidfd.Inode(fd)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", errors.Join(ErrNoIdentity, err))
	}
	// A kernel may hand out the pidfd of a process that was reaped meanwhile.
	if err := p.alive(); err != nil {
		return nil, err
	}
	who, err := p.ids()
	switch {
	case err == nil:
	case c != nil && invisible(err):
		who = claimed(c) // the message is all there is
	default:
		return nil, err
	}
	pid := who.pid
	if pid == 0 && c != nil {
		pid = uint32(max(c.Message.PID, 0))
	} else if pid == 0 {
		pid = uint32(os.Getpid())
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
	if c != nil {
		if err := id.addCredentials(c); err != nil {
			return nil, err
		}
	}
	return id, nil
}

// invisible reports whether a process's ids could not be had because it lives in
// another pid namespace, or /proc hides it, rather than for want of descriptors or
// memory, which would let a peer choose to be judged by less.
func invisible(err error) bool {
	return errors.Is(err, pidfd.ErrForeign) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)
}

// identifyWeak is for kernels before Linux 6.5, which send no pidfds: what a
// message and a socket say can be judged, but /proc cannot be trusted.
func identifyWeak(c *cred.Credentials) (*Identity, error) {
	if here, err := pidfsHere(); here || err != nil {
		return nil, errors.Join(fmt.Errorf("the kernel gave no pidfd: %w", ErrNoIdentity), err)
	}
	if c.Message.PID <= 0 {
		// Zero pid and ids are also what forgotten credentials look like.
		return nil, fmt.Errorf("neither pidfd nor pid: %w", ErrNoIdentity)
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
			return fmt.Errorf("the hello came with pid %d, the pidfd is that of %d: %w", m.PID, who.pid, ErrContradiction)
		}
		// A sender with rights over its pid namespace may name another process
		// there, whose pidfd the kernel then attaches; but not with ids that
		// do not exist in its user namespace.
		if !oneOf(m.UID, who.ruid, who.euid, who.suid) || !oneOf(m.GID, who.rgid, who.egid, who.sgid) {
			return fmt.Errorf("the hello came with uid %d gid %d, the process has uid %d gid %d: %w",
				m.UID, m.GID, who.ruid, who.rgid, ErrContradiction)
		}
	}
	// Who makes a connection and lets a process of somebody else write to it
	// (sudo cat >&socket) would speak with that one's rights. Root need not.
	if s.UID != 0 && !oneOf(s.UID, m.UID, who.ruid, who.euid) && !(who.complete && s.UID == who.suid) {
		return fmt.Errorf("uid %d made the socket that uid %d speaks on: %w", s.UID, m.UID, ErrContradiction)
	}
	id.connector = Connector{
		PID: uint32(max(s.PID, 0)), UID: s.UID, GID: s.GID,
		Differs: s.PID <= 0 || s.PID != m.PID,
	}
	id.label = strings.TrimRight(c.Label, "\x00\n")
	return nil
}

func oneOf(n uint32, of ...uint32) bool {
	for _, m := range of {
		if n == m {
			return true
		}
	}
	return false
}

var bootID = remember.Success(pidfd.BootID)

func bindingOf(inode uint64) ([]byte, error) {
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
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
