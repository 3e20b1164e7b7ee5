package peer_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

// TestPeerExitsBeforeIdentify takes the hello of a process that is gone by then.
func TestPeerExitsBeforeIdentify(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	child.End()
	c := s.receive()
	_, err := peer.Identify(c)
	if c.PIDFD < 0 {
		require.ErrorIs(t, err, peer.ErrNoIdentity) // kernels that give no pidfd for the dead
		return
	}
	require.ErrorIs(t, err, peer.ErrGone)
}

// TestPeerExitsBetweenConnectAndCheck identifies a process, which then exits.
func TestPeerExitsBetweenConnectAndCheck(t *testing.T) {
	child, id := newSite(t).connect(nil)
	require.NoError(t, peer.Check(t.Context(), nil, id))
	child.End()
	require.ErrorIs(t, id.Alive(), peer.ErrGone)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrGone)
	err := peer.Check(t.Context(), peer.Anyone(), id)
	require.ErrorIs(t, err, peer.ErrGone)
	require.ErrorIs(t, err, peer.ErrRefused)
	_, err = id.Groups()
	require.ErrorIs(t, err, peer.ErrGone)
	_, err = id.Digest(t.Context(), peer.SHA256)
	require.ErrorIs(t, err, peer.ErrGone)
	_, err = id.Unit()
	require.ErrorIs(t, err, peer.ErrGone)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, id.Recheck(ended), context.Canceled, "which comes first")
}

// TestZombieIsGone has a peer that has not been reaped: its pid is still its own.
func TestZombieIsGone(t *testing.T) {
	s := newSite(t)
	child, id := s.connect(nil)
	pid, err := strconv.Atoi(child.Do("spawn", s.path))
	require.NoError(t, err)
	c := s.receive()
	grandchild := identify(t, c)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(t, pidfdtest.WaitExit(c.PIDFD)) // the child reaps only when it ends
	require.NoError(t, id.Alive())
	require.NoError(t, syscall.Kill(pid, 0), "a zombie still has its pid")
	require.ErrorIs(t, grandchild.Alive(), peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), nil, grandchild), peer.ErrGone)
	_, err = peer.Identify(c)
	require.ErrorIs(t, err, peer.ErrGone, "though the kernel still tells its ids")
}

// TestReusedPIDIsGone gives the pid of a peer that has exited to another process.
func TestReusedPIDIsGone(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, pidNamespace)
		return
	}
	mountProc(t)
	s := newSite(t)
	child, id := s.connect(nil)
	pid := child.PID()
	child.End()

	successor := startWithPID(t, pid)
	_, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	require.NoError(t, err, "the number leads to a living process")
	require.ErrorIs(t, id.Alive(), peer.ErrGone)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrGone)
	_, err = id.Executable()
	require.ErrorIs(t, err, peer.ErrGone)
	_, err = id.Cgroup()
	require.ErrorIs(t, err, peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), peer.Executable(program(t)), id), peer.ErrGone)

	successor.Do("dial", s.path)
	successor.Do("hello")
	next := s.identify()
	assert.Equal(t, id.Token().PID(), next.Token().PID())
	assert.NotEqual(t, id.Token(), next.Token())
	assert.NotEqual(t, id.Binding(), next.Binding())
	require.NoError(t, peer.Check(t.Context(), nil, next))
}

// startWithPID starts a child that gets this pid. The runtime may start a thread
// in between, which takes a number as well.
func startWithPID(t *testing.T, pid int) *pidfdtest.Child {
	t.Helper()
	for range 100 {
		last := []byte(strconv.Itoa(pid - 1))
		require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", last, 0o666))
		c := pidfdtest.Start(t, nil)
		if c.PID() == pid {
			return c
		}
		c.End()
	}
	t.Fatalf("no process got pid %d", pid)
	return nil
}

// TestExecAfterConnect has a peer that becomes another program.
func TestExecAfterConnect(t *testing.T) {
	child, id := newSite(t).connect(nil)
	runsUs := peer.Executable(program(t))
	require.NoError(t, peer.Check(t.Context(), runsUs, id))
	require.NoError(t, id.Recheck(t.Context()))
	before, err := id.Executable()
	require.NoError(t, err)
	token := id.Token()

	other := copyProgram(t)
	child.Do("exec", other)
	require.NoError(t, id.Alive(), "the pidfd and its inode stay")
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrChanged)
	for _, p := range []peer.Policy{runsUs, peer.Executable(other), peer.Not(peer.Executable(other))} {
		require.ErrorIs(t, peer.Check(t.Context(), p, id), peer.ErrChanged, p)
	}
	require.NoError(t, peer.Check(t.Context(), nil, id), "users do not depend on it")
	after, err := id.Executable()
	require.NoError(t, err)
	assert.Equal(t, before, after, "what was captured stays")
	assert.Equal(t, token, id.Token())
	_, err = id.Digest(t.Context(), peer.SHA256)
	require.ErrorIs(t, err, peer.ErrChanged)
}

// TestExecBeforeCheck has a peer that said hello as one program and is authorized as
// the one that it has become.
func TestExecBeforeCheck(t *testing.T) {
	child, id := newSite(t).connect(nil)
	other := copyProgram(t)
	child.Do("exec", other)
	require.ErrorIs(t, peer.Check(t.Context(), peer.Executable(program(t)), id), peer.ErrRefused)
	require.NoError(t, peer.Check(t.Context(), peer.Executable(other), id))
}

// TestPeerThatHidesAfterConnect was seen to run its program, but is not any more.
func TestPeerThatHidesAfterConnect(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, as(1234, 1234))
		return
	}
	child, id := newSite(t).connect(nil)
	requireAnswer(t, allowed, peer.ExecutableDigest(ownDigest(t)), id)
	require.NoError(t, id.Recheck(t.Context()))
	child.Do("hide")
	requireAnswer(t, unknown, peer.ExecutableDigest(ownDigest(t)), id)
	requireAnswer(t, unknown, peer.Executable("/bin/sh"), id)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrUnavailable)
	requireAnswer(t, allowed, peer.SameUser(), id)
}

// TestIDsChangeAfterConnect has a peer that drops its rights.
func TestIDsChangeAfterConnect(t *testing.T) {
	needRoot(t)
	child, id := newSite(t).connect(nil)
	require.NoError(t, id.Recheck(t.Context()))
	child.Do("setresuid", 1234, 1234, 1234)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrChanged)
	err := peer.Check(t.Context(), peer.Root(), id)
	require.ErrorIs(t, err, peer.ErrChanged)
	require.ErrorIs(t, err, peer.ErrRefused)
}

// TestIDsChangeBetweenHelloAndIdentify finds other ids than the hello's.
func TestIDsChangeBetweenHelloAndIdentify(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	child.Do("setresuid", 1234, 1234, 1234)
	_, err := peer.Identify(s.receive())
	require.ErrorIs(t, err, peer.ErrContradiction)
}

// TestDescriptorPassedToSameUser has a child speak on a connection of ours: the
// child is the peer, and the identity says that it did not connect.
func TestDescriptorPassedToSameUser(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil, dialled(t, s))
	child.Do("adopt", 3)
	child.Do("hello")
	id := s.identify()
	assert.Equal(t, uint32(child.PID()), id.Token().PID())
	assert.True(t, id.Connector().Differs)
	assert.Equal(t, uint32(os.Getpid()), id.Connector().PID)
}

// TestDescriptorPassedByRoot is socket activation: root makes the socket for a
// process of another user, which is authorized.
func TestDescriptorPassedByRoot(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, as(1234, 1234), dialled(t, s))
	child.Do("adopt", 3)
	child.Do("hello")
	id := s.identify()
	assert.True(t, id.Connector().Differs)
	assert.Zero(t, id.Connector().UID)
	require.NoError(t, peer.Check(t.Context(), peer.UIDs(1234), id))
	require.ErrorIs(t, peer.Check(t.Context(), peer.Root(), id), peer.ErrRefused)
}

// TestConnectionOfAnotherUser has a process of root's write to a connection that
// another user made, as sudo does with a redirected output. Here one
// process plays both, as its effective id at connect is what the socket keeps.
func TestConnectionOfAnotherUser(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("setresuid", 1234, 1234, 0)
	child.Do("dial", s.path)
	child.Do("setresuid", 0, 0, 0)
	child.Do("hello")
	c := s.receive()
	require.Equal(t, uint32(1234), c.Socket.UID)
	require.Zero(t, c.Message.UID)
	_, err := peer.Identify(c)
	require.ErrorIs(t, err, peer.ErrContradiction)
}

// TestConnectionOfTheSavedUser was made by the process itself, when the user that is its
// saved one now was its effective one.
func TestConnectionOfTheSavedUser(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("setresuid", 0, 1234, 0)
	child.Do("dial", s.path)
	child.Do("setresuid", 0, 0, -1)
	child.Do("setresuid", 0, 0, 1234)
	child.Do("hello")
	c := s.receive()
	require.Equal(t, uint32(1234), c.Socket.UID)
	require.Zero(t, c.Message.UID)
	requireAnswer(t, allowed, peer.Root(), identify(t, c))
	// The saved ids of a process that is not known are not root's.
	seen := &cred.Credentials{PIDFD: -1, Message: c.Message, Socket: c.Socket}
	_, err := peer.Weaken(seen)
	require.NoError(t, err, "the same process has connected")
	seen.Socket.PID++
	_, err = peer.Weaken(seen)
	require.ErrorIs(t, err, peer.ErrContradiction)
}

// dialled returns the descriptor of a connection that this process made.
func dialled(t *testing.T, s *site) *os.File {
	t.Helper()
	conn, err := pidfdtest.Dial(s.path)
	require.NoError(t, err)
	f := os.NewFile(uintptr(conn.FD()), "connection")
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// TestForgedCredentials has a privileged sender choose ids that it does not have.
func TestForgedCredentials(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	for _, forged := range []cred.UCred{{UID: 1234}, {GID: 1234}} {
		child := pidfdtest.Start(t, nil)
		child.Do("dial", s.path)
		child.Do("hello-as", child.PID(), forged.UID, forged.GID)
		c := s.receive()
		require.Equal(t, forged.UID, c.Message.UID, "the kernel lets root choose")
		_, err := peer.Identify(c)
		require.ErrorIs(t, err, peer.ErrContradiction)
	}
}

// TestForgedPID has a privileged sender name another process: the kernel then
// attaches the pidfd of that process, whose ids contradict the message.
func TestForgedPID(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	victim := pidfdtest.Start(t, as(1234, 1234))
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello-as", victim.PID(), 0, 0)
	c := s.receive()
	require.Equal(t, int32(victim.PID()), c.Message.PID)
	_, err := peer.Identify(c)
	require.ErrorIs(t, err, peer.ErrContradiction)
}

// TestPidfdOfAnotherProcess has a pidfd that is not the message's.
func TestPidfdOfAnotherProcess(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	c.Message.PID = int32(os.Getpid())
	_, err := peer.Identify(c)
	require.ErrorIs(t, err, peer.ErrContradiction)
}

// TestPidfdOfAThread names no process, whatever the message claims.
func TestPidfdOfAThread(t *testing.T) {
	needKernel(t)
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	thread, process := 0, os.Getpid()
	for _, entry := range threads {
		if id, err := strconv.Atoi(entry.Name()); err == nil && id != process {
			thread = id // Go's runtime has some, and keeps them
		}
	}
	const pidfdOpen, pidfdThread = 434, syscall.O_EXCL // on all architectures
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(thread), pidfdThread, 0)
	require.Zero(t, errno)
	defer syscall.Close(int(fd))
	for _, pid := range []int{thread, process} {
		_, err := peer.FromPIDFD(pid, int(fd))
		assert.ErrorIs(t, err, peer.ErrContradiction)
		who := cred.UCred{PID: int32(pid), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
		_, err = peer.Identify(&cred.Credentials{PIDFD: int(fd), Message: who, Socket: who})
		assert.Error(t, err, "the ids of the message do not stand for those of the process")
	}
}

// TestPidfdWithNumberZero: a host whose standard input is closed gets such ones.
func TestPidfdWithNumberZero(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	stdin, err := syscall.Dup(0)
	require.NoError(t, err)
	defer func() {
		require.NoError(t, syscall.Dup3(stdin, 0, 0))
		require.NoError(t, syscall.Close(stdin))
	}()
	require.NoError(t, syscall.Dup3(c.PIDFD, 0, syscall.O_CLOEXEC))
	id, err := peer.Identify(&cred.Credentials{PIDFD: 0, Message: c.Message, Socket: c.Socket})
	require.NoError(t, err)
	require.Equal(t, uint32(child.PID()), id.Token().PID())
	require.NoError(t, id.Close())
}

// TestDescriptorTableFull: a peer that fills our descriptor table gets no identity,
// rather than one with less in it, and the next peer gets a whole one.
func TestDescriptorTableFull(t *testing.T) {
	if !inside() {
		runInside(t, nil)
		return
	}
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	_, conn := newDaemon(t, "unix").connect(nil)
	free, err := syscall.Dup(c.PIDFD)
	require.NoError(t, err)
	require.NoError(t, syscall.Close(free))

	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	// Nothing is known yet, then what is the same for all peers: other steps fail.
	for range 2 {
		for left := range 2 {
			full := syscall.Rlimit{Cur: uint64(free + left), Max: before.Max}
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &full))
			_, strong := peer.Identify(c)
			_, weak := peer.Identify(&cred.Credentials{PIDFD: -1, Message: c.Message, Socket: c.Socket})
			_, other := peer.FromConn(conn)
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before))
			require.ErrorIs(t, strong, syscall.EMFILE)
			require.ErrorIs(t, other, syscall.EMFILE)
			require.ErrorIs(t, weak, peer.ErrNoIdentity)
		}
		id, err := peer.Identify(c)
		require.NoError(t, err)
		require.NoError(t, peer.Check(t.Context(), nil, id))
		require.NoError(t, id.Close())
	}
}

// TestIdentityIsSafeForConcurrentUse is for the race detector.
func TestIdentityIsSafeForConcurrentUse(t *testing.T) {
	_, id := newSite(t).connect(nil)
	digest := ownDigest(t)
	var group sync.WaitGroup
	for range 4 {
		for _, p := range []peer.Policy{nil, peer.Executable(program(t)), peer.ExecutableDigest(digest), peer.GIDs(4711)} {
			group.Go(func() {
				for range 20 {
					_ = peer.Check(t.Context(), p, id)
					_ = id.Recheck(t.Context())
					_ = id.String()
					_, _ = id.UserName()
				}
			})
		}
	}
	require.NoError(t, peer.Check(t.Context(), nil, id))
	require.NoError(t, id.Close())
	group.Wait()
	require.ErrorIs(t, peer.Check(t.Context(), nil, id), os.ErrClosed)
}

func TestNoCredentialsNoIdentity(t *testing.T) {
	for name, c := range map[string]*cred.Credentials{
		"nil":         nil,
		"none":        cred.New(nil),
		"no pidfd":    {PIDFD: -1, Message: cred.UCred{PID: int32(os.Getpid())}},
		"not a pidfd": {PIDFD: 0},
	} {
		_, err := peer.Identify(c)
		assert.ErrorIs(t, err, peer.ErrNoIdentity, name)
	}
	var refused *peer.RefusedError
	err := peer.Check(t.Context(), peer.Anyone(), nil)
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, peer.ErrNoIdentity)
	assert.Equal(t, "Anyone", refused.Rule)
}

func TestIdentityKeepsItsOwnDescriptor(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	id := identify(t, c)
	require.NoError(t, c.Close(), "the link closes its own")
	require.NoError(t, id.Alive())
	require.NoError(t, peer.Check(t.Context(), nil, id))
	require.NoError(t, id.Close())
	require.NoError(t, id.Close())
	require.ErrorIs(t, id.Alive(), os.ErrClosed)
	require.ErrorIs(t, peer.Check(t.Context(), nil, id), os.ErrClosed)
	_, err := id.Executable()
	require.NoError(t, err, "captured before")
}
