package peer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Identity is one process as the kernel describes it: its [Token], and what can be
// looked up about it while it lives. It comes from [FromConn], [FromPIDFD], [Self], or a
// connection of this module. The caller of one of those functions closes it; an
// identity that a connection, a session or a message returns belongs to the connection.
//
// A lookup costs a few system calls, each time unless its method says otherwise, and
// does not block except where the method says so; [Identity.Assurance] says what each
// answer is worth. All methods may be called concurrently. After [Identity.Close] they
// return what was captured before, else an error that answers
// errors.Is(err, [os.ErrClosed]). A failed lookup leaves the identity as it was.
type Identity struct {
	token     Token
	ids       ids
	binding   []byte
	connector Connector
	label     string
	groups    *[]uint32 // those that the socket has kept; nil to ask for those of now
	byNumber  bool      // found by a pid that another process may have got meanwhile

	proc   process
	mu     sync.RWMutex // held for reading by lookups, which Close waits for
	closed bool

	exe      atomic.Pointer[ExecutableFile] // captured once, see Executable
	last     atomic.Pointer[sighting]       // the last look at what it runs
	userName atomic.Pointer[string]
}

// Connector is the process that made the peer's end of the socket, as SO_PEERCRED
// reports it: it called connect, listen or socketpair. In an identity of [FromConn] it
// is the peer. On connections of this module the peer is the process that sent the
// hello, which can be another one: a service manager listens for its services, a
// parent connects for its child.
type Connector struct {
	PID, UID, GID uint32

	// Differs reports that it is not known to be the peer itself.
	Differs bool
}

// ExecutableFile is the file that a process runs.
type ExecutableFile struct {
	// Path is the link text of /proc/PID/exe: the name in the mount namespace
	// of the file, with " (deleted)" appended when it is gone. It is for display: a
	// container can have any file of its own at any path. The policy [Executable]
	// compares Dev and Ino.
	Path string

	Dev, Ino     uint64
	Size         int64 // bytes
	Mtime, Ctime int64 // nanoseconds since 1970
}

// Token returns the audit token, taken when the identity was made.
func (id *Identity) Token() Token { return id.token }

// Binding returns the bytes that name this process in a handshake: equal for the
// process itself ([Self]) and for its peers, whatever pid and user namespaces they live
// in, and different for any other process. The slice is the caller's.
//
//	Linux 6.9 and later  "linux-pidfs/1" ‖ boot id (16) ‖ pidfs inode (8, big-endian)
//	older Linux          "linux-weak/1" ‖ boot id (16): names only the machine
//	Darwin               "darwin-audit/1" ‖ Token.Bytes
//
// A container manager that hides the machine's boot id (systemd-nspawn) makes
// the bindings unequal, so that a handshake across its border fails. Where
// /proc/sys/kernel/random/boot_id can't be read, as without /proc, Binding returns nil,
// and package secure neither serves nor connects.
func (id *Identity) Binding() []byte { return bytes.Clone(id.binding) }

// Connector returns which process made the peer's end of the socket. It is zero for
// [Self] and [FromPIDFD], and on Mach ports, which have none. On Darwin [FromConn] sets
// only the ids.
func (id *Identity) Connector() Connector { return id.connector }

// Alive returns nil while the process lives, else [ErrGone]. In a weak identity
// without a pidfd it cannot tell: [ErrUnavailable].
func (id *Identity) Alive() error {
	return ask(id, process.alive)
}

// Groups returns the supplementary groups: in an identity of [FromConn] on Linux
// those that the process had when it made its end of the connection (SO_PEERGROUPS),
// otherwise the current ones. The caller owns the slice. Errors: [ErrGone];
// [ErrUnavailable] where the socket has not kept them and they cannot be read.
func (id *Identity) Groups() ([]uint32, error) {
	if id.groups != nil {
		return slices.Clone(*id.groups), nil
	}
	return lookup(id, process.groups)
}

// UserName returns the name of the real user, looked up by [os/user]: it may read
// files or ask the system's name services, and blocks as long as they do. The first
// answer is kept. The kernel does not vouch for it; it is for display. It works after
// Close. Errors are those of [user.LookupId].
func (id *Identity) UserName() (string, error) {
	if name := id.userName.Load(); name != nil {
		return *name, nil
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(id.token.RUID()), 10))
	if err != nil {
		return "", fmt.Errorf("peer: name of user %d: %w", id.token.RUID(), err)
	}
	id.userName.Store(&u.Username)
	return u.Username, nil
}

// GroupName is [Identity.UserName] for the real group; its answer is not kept.
func (id *Identity) GroupName() (string, error) {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(id.token.RGID()), 10))
	if err != nil {
		return "", fmt.Errorf("peer: name of group %d: %w", id.token.RGID(), err)
	}
	return g.Name, nil
}

// Executable returns the file that the process ran when it was first asked for: the
// answer is captured and stays, so that [Identity.Recheck] can tell whether it still
// holds. [Check] captures it before it evaluates the policy.
//
// Linux only. It needs the right to ptrace-read the process: the same user and not
// set-user-ID, or CAP_SYS_PTRACE. Errors: [ErrGone], [ErrUnavailable].
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

// look finds out what the process runs now, and captures the first answer.
func (id *Identity) look() sighting {
	var now sighting
	now.exe, now.err = lookup(id, process.executable)
	if now.err == nil {
		id.exe.CompareAndSwap(nil, &now.exe) // two may look: the first is kept
	}
	id.last.Store(&now)
	return now
}

// is returns nil if the process was seen to run the captured executable.
func (s sighting) is(captured ExecutableFile) error {
	if s.err == nil && (s.exe.Dev != captured.Dev || s.exe.Ino != captured.Ino) {
		return fmt.Errorf("%w: runs %q instead of %q", ErrChanged, s.exe.Path, captured.Path)
	}
	return s.err
}

// Label returns the LSM label (SELinux context, AppArmor profile) that the peer's
// end of the socket got when it was made (SO_PEERSEC). It makes no system call. Errors:
// [ErrUnavailable] without an LSM that labels sockets, when another process than the
// peer made that end, and in an identity that is not of a connection.
func (id *Identity) Label() (string, error) {
	switch {
	case id.label == "":
		return "", unavailable("LSM label")
	case id.connector.Differs:
		return "", fmt.Errorf("%w: the LSM label is that of pid %d, which made the socket", ErrUnavailable, id.connector.PID)
	}
	return id.label, nil
}

// Cgroup returns the path of the process's cgroup in systemd's hierarchy, as
// seen from our cgroup namespace. Linux only. Errors: [ErrGone], [ErrUnavailable].
func (id *Identity) Cgroup() (string, error) {
	return lookup(id, process.cgroup)
}

// Unit returns the unit of the system's service manager (systemd) that the process
// belongs to, such as "cups.service", "session-2.scope" or "user@1000.service",
// within which a user's own units lie. Errors: [ErrGone]; [ErrUnavailable] if it is in
// none.
func (id *Identity) Unit() (string, error) {
	path, err := id.Cgroup()
	if err != nil {
		return "", err
	}
	return unitOf(path)
}

// Recheck checks whether the process has changed. It returns nil if it has not;
// [ErrGone]; [ErrChanged] when it runs another file or has other ids than before;
// [ErrUnavailable] when that cannot be found out; or ctx.Err(). It does not block.
//
// The ids are compared with those at the time when the identity was made, and the
// executable with that of the first call of [Identity.Executable] or [Check]. An exec of
// the same file is not noticed on Linux; on Darwin every exec changes the token: ErrGone.
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
		err = fmt.Errorf("%w: effective uid is now %d, real uid %d", ErrChanged, now.euid, now.ruid)
	}
	return err
}

// hasIDs returns nil if the process has the effective ids that its end of a socket
// was made with.
func (id *Identity) hasIDs(uid, gid uint32) error {
	if id.ids.euid == uid && id.ids.egid == gid {
		return nil
	}
	return fmt.Errorf("%w: its end of the connection was made with effective uid %d gid %d, it has uid %d gid %d now",
		ErrChanged, uid, gid, id.ids.euid, id.ids.egid)
}

// Close releases the pidfd. It waits for lookups that are under way; a digest that is
// being computed is not waited for. The process is not touched. Close is idempotent.
func (id *Identity) Close() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.closed {
		return nil
	}
	id.closed = true
	return id.proc.close()
}

// String describes the process for display, without looking anything up: the user's
// name and the executable appear if they are known already.
func (id *Identity) String() string {
	if id == nil {
		return "no identity"
	}
	s := fmt.Sprintf("pid %s uid %d", orUnknown(id.token.PID()), id.token.RUID())
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

// lookup runs f, for which Close waits.
func lookup[T any](id *Identity, f func(process) (T, error)) (T, error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.closed {
		var zero T
		return zero, fmt.Errorf("peer: identity is closed: %w", os.ErrClosed)
	}
	return f(id.proc)
}

// ask is lookup for questions that are only answered by an error.
func ask(id *Identity, f func(process) error) error {
	_, err := lookup(id, func(p process) (struct{}, error) { return struct{}{}, f(p) })
	return err
}

// printable quotes a text with control characters, which another process may have
// chosen in order to write them into a log.
func printable(s string) string {
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}
