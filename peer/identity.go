package peer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
)

// Identity is one process as the kernel describes it: its Token, and what can
// be looked up about it while it lives.
//
// Looking something up costs a few system calls, each time unless its method
// says otherwise; see Assurance for what each answer is worth. All methods may be
// called concurrently. After Close they return what was already captured, else
// an error that answers errors.Is(err, os.ErrClosed).
type Identity struct {
	token     Token
	ids       ids
	binding   []byte
	connector Connector
	label     string

	proc   process
	mu     sync.RWMutex // held for reading by lookups, which Close waits for
	closed bool

	exe      atomic.Pointer[ExecutableFile] // captured once, see Executable
	last     atomic.Pointer[sighting]       // the last look at what it runs
	userName atomic.Pointer[string]
}

// Connector is the process that made the socket's end, as SO_PEERCRED tells: it
// called connect, or listen. It can be another one than the peer, which is who
// sent the hello: a service manager that listens for its services, a parent that
// connects for its child.
type Connector struct {
	PID, UID, GID uint32

	// Differs reports that it is not known to be the peer itself.
	Differs bool
}

// ExecutableFile is the file that a process runs.
type ExecutableFile struct {
	// Path is the link text of /proc/PID/exe: the name in the mount namespace
	// of the file, " (deleted)" appended when it is gone. It is for people: a
	// container can have any file of its own at any path. The policy Executable
	// compares Dev and Ino.
	Path string

	Dev, Ino     uint64
	Size         int64 // bytes
	Mtime, Ctime int64 // nanoseconds since 1970
}

// Token returns the audit token, taken when the identity was made.
func (id *Identity) Token() Token { return id.token }

// Binding returns the bytes that name this process in a handshake: equal for
// the process itself (Self) and for whoever it talks to, whatever pid and user
// namespaces they live in, and different for any other process. The slice is
// the caller's.
//
//	Linux 6.9 and later  "linux-pidfs/1" ‖ boot id (16) ‖ pidfs inode (8, big-endian)
//	older Linux          "linux-weak/1" ‖ boot id (16): names only the machine
//	Darwin               "darwin-audit/1" ‖ Token.Bytes
//
// A container manager that hides the machine's boot id (systemd-nspawn) makes
// the bindings unequal, so that a handshake across its border fails.
func (id *Identity) Binding() []byte { return bytes.Clone(id.binding) }

// Connector tells who made the socket's end. Zero for Self, and on Darwin, where
// there is none.
func (id *Identity) Connector() Connector { return id.connector }

// Alive returns nil while the process lives, else ErrGone, without blocking.
// In a weak identity without a pidfd it cannot tell: ErrUnavailable.
func (id *Identity) Alive() error {
	return ask(id, process.alive)
}

// Groups returns the supplementary groups as they are now. The slice is the
// caller's.
func (id *Identity) Groups() ([]uint32, error) {
	return lookup(id, process.groups)
}

// UserName returns the name of the real user, by os/user: it may read files or
// ask the system's name services, and block as long as they do. The first answer
// is kept. Not the kernel's word: for people. Errors are those of os/user.
func (id *Identity) UserName() (string, error) {
	if name := id.userName.Load(); name != nil {
		return *name, nil
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(id.token.RUID()), 10))
	if err != nil {
		return "", fmt.Errorf("name of user %d: %w", id.token.RUID(), err)
	}
	id.userName.Store(&u.Username)
	return u.Username, nil
}

// GroupName is UserName for the real group; its answer is not kept.
func (id *Identity) GroupName() (string, error) {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(id.token.RGID()), 10))
	if err != nil {
		return "", fmt.Errorf("name of group %d: %w", id.token.RGID(), err)
	}
	return g.Name, nil
}

// Executable returns the file that the process ran when it was first asked for:
// the answer is captured and stays, so that Recheck can tell whether it still
// holds. Check captures it before it judges.
//
// On Linux it needs the right to ptrace-read the process (same user and not
// set-user-ID, or CAP_SYS_PTRACE), else ErrUnavailable.
func (id *Identity) Executable() (ExecutableFile, error) {
	if exe := id.exe.Load(); exe != nil {
		return *exe, nil
	}
	if now := id.look(); now.err != nil {
		return ExecutableFile{}, now.err
	}
	return *id.exe.Load(), nil
}

// sighting is one look at the executable of a process.
type sighting struct {
	exe ExecutableFile
	err error
}

// look looks what the process runs by now, and captures the first sight of it.
func (id *Identity) look() sighting {
	var now sighting
	now.exe, now.err = lookup(id, process.executable)
	if now.err == nil {
		id.exe.CompareAndSwap(nil, &now.exe) // two may look: the first counts
	}
	id.last.Store(&now)
	return now
}

// is returns nil if the process was seen to run the captured executable.
func (s sighting) is(captured ExecutableFile) error {
	if s.err == nil && (s.exe.Dev != captured.Dev || s.exe.Ino != captured.Ino) {
		return fmt.Errorf("runs %q instead of %q: %w", s.exe.Path, captured.Path, ErrChanged)
	}
	return s.err
}

// Label returns the LSM label (SELinux context, AppArmor profile) that the
// socket's end got when it was made (SO_PEERSEC). ErrUnavailable without an LSM
// that labels sockets, or when another process than the peer made that end.
func (id *Identity) Label() (string, error) {
	switch {
	case id.label == "":
		return "", unavailable("LSM label")
	case id.connector.Differs:
		return "", fmt.Errorf("LSM label is that of pid %d, which made the socket: %w", id.connector.PID, ErrUnavailable)
	}
	return id.label, nil
}

// Cgroup returns the path of the process's cgroup in systemd's hierarchy, as
// seen from our cgroup namespace.
func (id *Identity) Cgroup() (string, error) {
	return lookup(id, process.cgroup)
}

// Unit returns the unit of the system's service manager (systemd) that the process
// belongs to, such as "cups.service", "session-2.scope" or "user@1000.service",
// within which a user's own units lie. ErrUnavailable if it is in none.
func (id *Identity) Unit() (string, error) {
	path, err := id.Cgroup()
	if err != nil {
		return "", err
	}
	return unitOf(path)
}

// Recheck looks whether the process still is what it was. It returns nil,
// ErrGone, ErrChanged when it runs another file or has other ids than then, or
// ErrUnavailable when that cannot be told.
//
// "Then" is the making of the identity for the ids, and the first call of
// Executable, or Check, for the executable. An exec of the same file goes
// unnoticed on Linux; Darwin's token sees every exec and answers ErrGone.
func (id *Identity) Recheck(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := id.same(); err != nil {
		return err
	}
	if _, ok := id.proc.(tokenProcess); ok {
		return nil // an exec would have changed its token
	}
	captured, err := id.Executable()
	if err != nil {
		return err
	}
	return id.look().is(captured)
}

// same returns nil if the process lives and has the ids that it had.
func (id *Identity) same() error {
	if err := id.Alive(); err != nil || !id.ids.complete {
		return err
	}
	now, err := lookup(id, process.ids)
	if err == nil && now != id.ids {
		err = fmt.Errorf("effective uid is now %d, real uid %d: %w", now.euid, now.ruid, ErrChanged)
	}
	return err
}

// Close releases the pidfd, after lookups that are under way. The process is not
// touched. Idempotent.
func (id *Identity) Close() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.closed {
		return nil
	}
	id.closed = true
	return id.proc.close()
}

// String describes the process for people, without looking anything up: the
// user's name and the executable appear if they are known already.
func (id *Identity) String() string {
	if id == nil {
		return "no identity"
	}
	s := fmt.Sprintf("pid %d uid %d", id.token.PID(), id.token.RUID())
	if name := id.userName.Load(); name != nil {
		s += " (" + printable(*name) + ")"
	}
	if id.token.EUID() != id.token.RUID() {
		s += fmt.Sprintf(" euid %d", id.token.EUID())
	}
	if exe := id.exe.Load(); exe != nil {
		s += " " + printable(exe.Path)
	}
	if id.token.Weak() {
		s += " (weak)"
	}
	return s
}

// lookup runs f while Close waits.
func lookup[T any](id *Identity, f func(process) (T, error)) (T, error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.closed {
		var zero T
		return zero, fmt.Errorf("identity: %w", os.ErrClosed)
	}
	return f(id.proc)
}

// ask is lookup for what has no other answer than an error.
func ask(id *Identity, f func(process) error) error {
	_, err := lookup(id, func(p process) (struct{}, error) { return struct{}{}, f(p) })
	return err
}

// printable keeps what another process chose from writing control characters
// into a log.
func printable(s string) string {
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}
