package peer_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

func TestSelfDescribesThisProcess(t *testing.T) {
	needKernel(t)
	id, err := peer.Self()
	require.NoError(t, err)
	defer id.Close()
	token := id.Token()
	assert.Equal(t, uint32(os.Getpid()), token.PID())
	assert.Equal(t, uint32(os.Geteuid()), token.EUID())
	assert.Equal(t, uint32(os.Getuid()), token.RUID())
	assert.Equal(t, uint32(os.Getegid()), token.EGID())
	assert.Equal(t, uint32(os.Getgid()), token.RGID())
	assert.False(t, token.Weak())
	assert.NotZero(t, token.PIDVersion())
	require.NoError(t, id.Alive())
	require.NoError(t, id.Recheck(t.Context()))

	exe, err := id.Executable()
	require.NoError(t, err)
	info, err := os.Stat(program(t))
	require.NoError(t, err)
	st := info.Sys().(*syscall.Stat_t)
	assert.Equal(t, st.Dev, exe.Dev)
	assert.Equal(t, st.Ino, exe.Ino)
	assert.Equal(t, info.Size(), exe.Size)
	assert.Equal(t, info.ModTime().UnixNano(), exe.Mtime)
	assert.Equal(t, program(t), exe.Path)

	groups, err := id.Groups()
	require.NoError(t, err)
	own, err := os.Getgroups()
	require.NoError(t, err)
	assert.Len(t, groups, len(own))
	for _, g := range own {
		assert.Contains(t, groups, uint32(g))
	}
}

func TestNamesAreForPeople(t *testing.T) {
	needRoot(t)
	_, id := newSite(t).connect(as(1, 1))
	assert.NotContains(t, id.String(), "daemon", "nothing is looked up")
	name, err := id.UserName()
	require.NoError(t, err)
	assert.Equal(t, "daemon", name)
	name, err = id.GroupName()
	require.NoError(t, err)
	assert.Equal(t, "daemon", name)
	assert.Contains(t, id.String(), "uid 1 (daemon)")

	_, id = newSite(t).connect(as(1234, 1234))
	_, err = id.UserName()
	var unknown user.UnknownUserIdError
	require.ErrorAs(t, err, &unknown)
	_, err = id.GroupName()
	var unknownGroup user.UnknownGroupIdError
	require.ErrorAs(t, err, &unknownGroup)
	assert.NotEmpty(t, (*peer.Identity)(nil).String())
}

// TestPathsCannotWriteIntoLogs: whatever the executable is called, its path is quoted.
func TestPathsCannotWriteIntoLogs(t *testing.T) {
	s := newSite(t)
	path := copyProgram(t) + "\n\x1b[2J"
	require.NoError(t, os.Rename(path[:len(path)-5], path))
	child := pidfdtest.StartFile(t, path, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	err := peer.Check(t.Context(), peer.Executable("/bin/sh"), id)
	require.ErrorIs(t, err, peer.ErrRefused)
	exe, lookErr := id.Executable()
	require.NoError(t, lookErr)
	require.Equal(t, path, exe.Path)
	for _, text := range []string{id.String(), fmt.Sprint(err)} { // as a log shows them
		assert.Contains(t, text, `copy\n\x1b[2J`)
		assert.NotContains(t, text, "\n")
		assert.NotContains(t, text, "\x1b")
	}
}

func TestTokenIsThatOfTheSender(t *testing.T) {
	needRoot(t)
	child, id := newSite(t).connect(as(1234, 2345))
	token := id.Token()
	assert.Equal(t, uint32(child.PID()), token.PID())
	assert.Equal(t, uint32(1234), token.EUID())
	assert.Equal(t, uint32(1234), token.RUID())
	assert.Equal(t, uint32(2345), token.EGID())
	assert.Equal(t, uint32(2345), token.RGID())
	assert.False(t, id.Connector().Differs)
	assert.Equal(t, uint32(child.PID()), id.Connector().PID)
	assert.Equal(t, uint32(1234), id.Connector().UID)
}

func TestBindingIsEqualOnBothSides(t *testing.T) {
	s := newSite(t)
	one, first := s.connect(nil)
	two, second := s.connect(nil)
	assert.Equal(t, one.Do("binding"), hex.EncodeToString(first.Binding()))
	assert.Equal(t, two.Do("binding"), hex.EncodeToString(second.Binding()))
	assert.NotEqual(t, first.Binding(), second.Binding(), "each process has its own")
	n := len(first.Binding())
	assert.Equal(t, first.Token().PIDVersion(), uint32(binary.BigEndian.Uint64(first.Binding()[n-8:])))

	first.Binding()[0] ^= 1
	assert.Equal(t, one.Do("binding"), hex.EncodeToString(first.Binding()), "the slice is the caller's")
}

// TestPeerInAnotherPIDNamespace sees a child in a namespace of its own from outside.
func TestPeerInAnotherPIDNamespace(t *testing.T) {
	needRoot(t)
	child, id := newSite(t).connect(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	assert.Equal(t, uint32(child.PID()), id.Token().PID(), "its pid in our namespace")
	assert.Equal(t, child.Do("binding"), hex.EncodeToString(id.Binding()))
	require.NoError(t, peer.Check(t.Context(), peer.AllOf(peer.SameUser(), peer.Executable(program(t))), id))
}

// TestPeerOutsideOurPIDNamespace sees a process that has no pid here.
func TestPeerOutsideOurPIDNamespace(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, pidNamespace, ownHello(t))
		return
	}
	mountProc(t)
	content, c := inheritedHello(t)
	require.Zero(t, c.Message.PID)
	id := identify(t, c)
	assert.Zero(t, id.Token().PID())
	assert.False(t, id.Token().Weak(), "the inode names it all the same")
	assert.Equal(t, string(content), hex.EncodeToString(id.Binding()))
	require.NoError(t, id.Alive())

	// The credentials of the message are enough to authorize users ...
	require.NoError(t, peer.Check(t.Context(), nil, id))
	require.ErrorIs(t, peer.Check(t.Context(), peer.UIDs(77), id), peer.ErrRefused)
	// ... and the rest can't be evaluated, so that its negation refuses as well.
	for _, p := range []peer.Policy{peer.Executable("/bin/sh"), peer.GIDs(77), peer.Unit("x.service"), peer.Descendant()} {
		for _, p := range []peer.Policy{p, peer.Not(p)} {
			err := peer.Check(t.Context(), p, id)
			require.ErrorIs(t, err, peer.ErrRefused, p)
			require.ErrorIs(t, err, peer.ErrUnavailable, p)
		}
	}
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrUnavailable)
}

// TestForeignProcIsNotTrusted looks up a peer where /proc shows another pid
// namespace than ours, so that our number for it is that of another process there.
func TestForeignProcIsNotTrusted(t *testing.T) {
	needRoot(t)
	if !inside() {
		// A child of a child namespace, whose /proc still is the outer one.
		runInside(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
		return
	}
	require.Equal(t, 1, os.Getpid())
	child, id := newSite(t).connect(nil)
	other, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child.PID()))
	require.True(t, err != nil || other != program(t), "the outer process with that pid is another one")
	exe, err := id.Executable()
	require.NoError(t, err)
	assert.Equal(t, program(t), exe.Path)
}

// TestProcIsReplaced has /proc show another pid namespace after a while.
func TestProcIsReplaced(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, pidNamespace)
		return
	}
	for _, change := range []func(){
		func() { mountProc(t) },
		func() { require.NoError(t, syscall.Unmount("/proc", syscall.MNT_DETACH)) },
	} {
		change()
		_, id := newSite(t).connect(nil)
		exe, err := id.Executable()
		require.NoError(t, err)
		assert.Equal(t, program(t), exe.Path)
	}
}

// TestPeerInAnotherUserNamespace has a peer that is root in a namespace of its
// own, and 1234 here.
func TestPeerInAnotherUserNamespace(t *testing.T) {
	needRoot(t)
	child, id := newSite(t).connect(userNamespace(1234))
	assert.Equal(t, uint32(1234), id.Token().EUID())
	assert.Equal(t, child.Do("binding"), hex.EncodeToString(id.Binding()))
	require.NoError(t, peer.Check(t.Context(), peer.UIDs(1234), id))
	err := peer.Check(t.Context(), peer.Root(), id)
	require.ErrorIs(t, err, peer.ErrRefused)
	require.NotErrorIs(t, err, peer.ErrUnavailable)

	// It could pass for any executable, so none is believed.
	for _, p := range []peer.Policy{
		peer.Executable(program(t)), peer.Not(peer.Executable("/bin/sh")),
		peer.ExecutableDigest(ownDigest(t)), peer.Not(peer.ExecutableDigest(ownDigest(t))),
	} {
		err := peer.Check(t.Context(), p, id)
		require.ErrorIs(t, err, peer.ErrRefused)
		require.ErrorIs(t, err, peer.ErrUnavailable)
	}
}

// TestPeerOutsideOurUserNamespace has a peer whose user does not exist here.
func TestPeerOutsideOurUserNamespace(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, userNamespace(1234), ownHello(t))
		return
	}
	content, c := inheritedHello(t)
	id := identify(t, c)
	assert.Equal(t, uint32(65534), id.Token().EUID(), "the overflow uid")
	assert.Equal(t, string(content), hex.EncodeToString(id.Binding()))
	for _, p := range []peer.Policy{
		peer.Default(), peer.Root(), peer.SameUser(), peer.UIDs(65534), peer.UIDs(1234),
		peer.Not(peer.UIDs(1234)), peer.Not(peer.UIDs(65534)), peer.GIDs(65534), peer.Not(peer.GIDs(1)),
	} {
		require.ErrorIs(t, peer.Check(t.Context(), p, id), peer.ErrRefused, p)
	}
	require.NoError(t, peer.Check(t.Context(), peer.Anyone(), id))
}

// pidNamespace is the attribute of a child that can mount a /proc of its own.
var pidNamespace = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}

// mountProc makes /proc show the pid namespace of a child with that attribute.
func mountProc(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Mount("proc", "/proc", "proc", 0, ""))
}

// TestHostWithoutAUser is in a user namespace in which no user has an id: all look
// alike, and like ourselves.
func TestHostWithoutAUser(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}, ownHello(t))
		return
	}
	_, c := inheritedHello(t)
	id := identify(t, c)
	require.Equal(t, uint32(os.Geteuid()), id.Token().EUID())
	for _, p := range []peer.Policy{peer.SameUser(), peer.Not(peer.SameUser()), peer.Default()} {
		require.ErrorIs(t, peer.Check(t.Context(), p, id), peer.ErrRefused, p)
	}
}

// TestHostThatRunsAsNobody has the id that stands for every user who has none here.
func TestHostThatRunsAsNobody(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, as(65534, 65534), ownHello(t))
		return
	}
	_, c := inheritedHello(t)
	requireAnswer(t, unknown, peer.SameUser(), identify(t, c))
}

// userNamespace is the attribute of a child that is root in a user namespace of
// its own, which is uid and gid here.
func userNamespace(id int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true},
	}
}

// ownHello connects to a listener, says hello with our own binding, and returns
// the listener for runInside to hand on.
func ownHello(t *testing.T) *os.File {
	t.Helper()
	s := newSite(t)
	conn, err := pidfdtest.Dial(s.path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	binding, err := ownBinding(nil)
	require.NoError(t, err)
	require.NoError(t, conn.Send([]byte(binding)))
	return inherit(t, s)
}

// inheritedHello receives what ownHello sent.
func inheritedHello(t *testing.T) ([]byte, *cred.Credentials) {
	t.Helper()
	conn, err := pidfdtest.Adopt(3).Accept()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	b, c, err := conn.Receive()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return b, c
}
