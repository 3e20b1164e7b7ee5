package peer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

// answer is what a test expects of Check.
type answer string

const (
	allowed answer = "allowed" // the opposite is refused
	refused answer = "refused" // the opposite is allowed
	unknown answer = "unknown" // the opposite is refused, too
)

// requireAnswer checks a policy and its opposite.
func requireAnswer(t *testing.T, want answer, p peer.Policy, id *peer.Identity) {
	t.Helper()
	straight, opposite := peer.Check(t.Context(), p, id), peer.Check(t.Context(), peer.Not(p), id)
	got := unknown
	switch {
	case straight == nil && opposite != nil:
		got = allowed
	case straight != nil && opposite == nil:
		got = refused
	case straight == nil:
		got = "both allowed"
	}
	require.Equal(t, want, got, "%v: %v; %v", p, straight, opposite)
	for _, err := range []error{straight, opposite} {
		if err != nil {
			var e *peer.RefusedError
			require.ErrorAs(t, err, &e)
			require.ErrorIs(t, err, peer.ErrRefused)
			require.Equal(t, id.Token(), e.Token)
		}
	}
	if want == unknown {
		require.ErrorIs(t, straight, peer.ErrUnavailable)
	}
}

func TestUserPolicies(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	_, root := s.connect(nil)
	_, daemon := s.connect(as(1, 1))
	_, stranger := s.connect(as(1234, 1234))
	for _, row := range []struct {
		policy                 peer.Policy
		root, daemon, stranger answer
	}{
		{peer.SameUser(), allowed, refused, refused},
		{peer.Root(), allowed, refused, refused},
		{peer.Default(), allowed, refused, refused},
		{peer.UIDs(1234), refused, refused, allowed},
		{peer.UIDs(1, 1234), refused, allowed, allowed},
		{peer.Users("root"), allowed, refused, refused},
		{peer.Users("root", "daemon"), allowed, allowed, refused},
		{peer.Users("no such user"), unknown, unknown, unknown},
		{peer.Users("no such user", "daemon"), unknown, allowed, unknown},
		{peer.Anyone(), allowed, allowed, allowed},
	} {
		requireAnswer(t, row.root, row.policy, root)
		requireAnswer(t, row.daemon, row.policy, daemon)
		requireAnswer(t, row.stranger, row.policy, stranger)
	}
}

// TestSameUserOfAnotherUser has a host that is not root.
func TestSameUserOfAnotherUser(t *testing.T) {
	needRoot(t)
	if !inside() {
		s := newSite(t)
		child := pidfdtest.Start(t, as(1234, 1234))
		child.Do("dial", s.path)
		child.Do("hello")
		runInside(t, as(1234, 1234), inherit(t, s))
		stranger := pidfdtest.Start(t, as(4321, 1234))
		stranger.Do("dial", s.path)
		stranger.Do("hello")
		t.Setenv("SEALPORT_PEER_STRANGER", "1")
		runInside(t, as(1234, 1234), inherit(t, s))
		return
	}
	_, c := inheritedHello(t)
	id := identify(t, c)
	if os.Getenv("SEALPORT_PEER_STRANGER") != "" {
		requireAnswer(t, refused, peer.SameUser(), id)
		requireAnswer(t, refused, peer.Default(), id)
		return
	}
	requireAnswer(t, allowed, peer.SameUser(), id)
	requireAnswer(t, refused, peer.Root(), id)
	requireAnswer(t, allowed, peer.Default(), id)
	requireAnswer(t, allowed, peer.ExecutableDigest(ownDigest(t)), id)
}

// TestWithoutRightsOverThePeer has a host that may not look at root's processes.
func TestWithoutRightsOverThePeer(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, as(1234, 1234), ownHello(t))
		return
	}
	_, c := inheritedHello(t)
	id := identify(t, c)
	requireAnswer(t, allowed, peer.Default(), id)
	requireAnswer(t, allowed, peer.GIDs(0), id)
	requireAnswer(t, unknown, peer.Executable(program(t)), id)
	requireAnswer(t, unknown, peer.ExecutableDigest(ownDigest(t)), id)
	requireAnswer(t, unknown, peer.Descendant(), id)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrUnavailable)
}

// TestSetUserIDProgram has a process with the effective ids of root that 1234 started.
func TestSetUserIDProgram(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("setresuid", 1234, 0, 0)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	require.Zero(t, id.Token().EUID())
	require.Equal(t, uint32(1234), id.Token().RUID())
	requireAnswer(t, refused, peer.Root(), id)
	requireAnswer(t, refused, peer.SameUser(), id)
	requireAnswer(t, refused, peer.UIDs(1234), id)
	requireAnswer(t, refused, peer.Default(), id)
	requireAnswer(t, allowed, peer.UIDs(0, 1234), id)
	requireAnswer(t, refused, peer.Users("root", "daemon"), id)
	assert.Contains(t, id.String(), "uid 1234 euid 0")
}

func TestGroupPolicies(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	_, primary := s.connect(as(1234, 1))
	_, supplementary := s.connect(as(1234, 1234, 7, 1, 8))
	_, none := s.connect(as(1, 1234))
	for _, row := range []struct {
		policy                       peer.Policy
		primary, supplementary, none answer
	}{
		{peer.GIDs(1), allowed, allowed, refused},
		{peer.GIDs(8, 9), refused, allowed, refused},
		{peer.Groups("daemon"), allowed, allowed, refused},
		{peer.Groups("root"), refused, refused, refused},
		{peer.Groups("no such group"), unknown, unknown, unknown},
	} {
		requireAnswer(t, row.primary, row.policy, primary)
		requireAnswer(t, row.supplementary, row.policy, supplementary)
		requireAnswer(t, row.none, row.policy, none)
	}
}

// TestSetGroupIDProgram is a member of nothing by its effective group alone.
func TestSetGroupIDProgram(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	child := pidfdtest.Start(t, as(0, 1234))
	child.Do("setresgid", 1234, 1, 1)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	require.Equal(t, uint32(1), id.Token().EGID())
	requireAnswer(t, refused, peer.GIDs(1), id)
	requireAnswer(t, refused, peer.GIDs(1234), id)
}

// TestPoliciesKeepTheirOwnLists of what only this system tells.
func TestPoliciesKeepTheirOwnLists(t *testing.T) {
	needRoot(t)
	_, id := newSite(t).connect(as(1, 1))
	gids, users, groups, digests := []uint32{1}, []string{"daemon"}, []string{"daemon"}, []peer.Digest{ownDigest(t)}
	policies := []peer.Policy{peer.GIDs(gids...), peer.Users(users...), peer.Groups(groups...), peer.ExecutableDigest(digests...)}
	gids[0], users[0], groups[0] = 9, "root", "root"
	var err error
	digests[0], err = peer.ParseDigest("sha256:" + hex.EncodeToString(make([]byte, 32)))
	require.NoError(t, err)
	for _, p := range policies {
		requireAnswer(t, allowed, p, id)
	}
}

// TestOverflowIDs: an id that stands for all users, or groups, who do not exist here is never
// compared, by number or by name, whichever of the ids of a process it is.
func TestOverflowIDs(t *testing.T) {
	needRoot(t)
	const overflow = 65534
	for _, p := range []peer.Policy{peer.UIDs(overflow), peer.UIDs(1, overflow), peer.GIDs(overflow)} {
		require.ErrorIs(t, peer.Validate(p), peer.ErrPolicy)
	}
	nobody, err := user.LookupId(strconv.Itoa(overflow))
	require.NoError(t, err)
	nogroup, err := user.LookupGroupId(strconv.Itoa(overflow))
	require.NoError(t, err)
	s := newSite(t)
	connect := func(attr *syscall.SysProcAttr, change string, ids ...any) *peer.Identity {
		child := pidfdtest.Start(t, attr)
		child.Do(change, ids...)
		child.Do("dial", s.path)
		child.Do("hello")
		return s.identify()
	}
	for name, id := range map[string]*peer.Identity{
		"all":       connect(nil, "setresuid", overflow, overflow, overflow),
		"effective": connect(nil, "setresuid", 0, overflow, 0),
		"real":      connect(nil, "setresuid", overflow, 0, 0),
	} {
		for _, p := range []peer.Policy{peer.UIDs(0), peer.UIDs(77), peer.SameUser(), peer.Users(nobody.Username), peer.Users("root", nobody.Username)} {
			t.Run(name+" "+p.String(), func(t *testing.T) { requireAnswer(t, unknown, p, id) })
		}
	}
	for name, id := range map[string]*peer.Identity{
		"all":           connect(nil, "setresgid", overflow, overflow, overflow),
		"effective":     connect(nil, "setresgid", 77, overflow, 77),
		"real":          connect(nil, "setresgid", overflow, 77, 77),
		"supplementary": connect(as(0, 77, overflow), "setresgid", 77, 77, 77),
	} {
		for _, p := range []peer.Policy{peer.GIDs(78), peer.Groups(nogroup.Name), peer.Groups("daemon", nogroup.Name)} {
			t.Run(name+" "+p.String(), func(t *testing.T) { requireAnswer(t, unknown, p, id) })
		}
	}
	requireAnswer(t, allowed, peer.GIDs(8), connect(as(0, 77, 8, overflow), "setresgid", 77, 77, 77))
}

func TestExecutablePolicy(t *testing.T) {
	child, id := newSite(t).connect(nil)
	other := copyProgram(t)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(program(t), link))
	requireAnswer(t, allowed, peer.Executable(program(t)), id)
	requireAnswer(t, allowed, peer.Executable(link), id)
	requireAnswer(t, refused, peer.Executable(other), id)
	requireAnswer(t, unknown, peer.Executable("/no/such/file"), id)
	assert.Equal(t, "pid "+strconv.Itoa(child.PID())+" uid "+strconv.Itoa(os.Getuid())+" "+program(t), id.String())
}

// TestReplacedExecutable has a peer whose program was updated while it ran.
func TestReplacedExecutable(t *testing.T) {
	s := newSite(t)
	path := copyProgram(t)
	child := pidfdtest.StartFile(t, path, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	digest, err := id.Digest(t.Context(), peer.SHA256)
	require.NoError(t, err)
	require.NoError(t, os.Rename(copyProgram(t), path))
	requireAnswer(t, refused, peer.Executable(path), id)
	requireAnswer(t, allowed, peer.ExecutableDigest(digest), id)
}

// TestSameInodeOfAnotherFileSystem has two programs that only the device tells apart.
func TestSameInodeOfAnotherFileSystem(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
		return
	}
	content, err := os.ReadFile(program(t))
	require.NoError(t, err)
	var paths [2]string
	var inodes [2]uint64
	for i := range paths {
		dir := t.TempDir()
		require.NoError(t, syscall.Mount("none", dir, "tmpfs", 0, ""))
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
		paths[i] = filepath.Join(dir, "program") // the first file of each has the same number
		require.NoError(t, os.WriteFile(paths[i], content, 0o700))
		info, err := os.Stat(paths[i])
		require.NoError(t, err)
		inodes[i] = info.Sys().(*syscall.Stat_t).Ino
	}
	require.Equal(t, inodes[0], inodes[1])
	s := newSite(t)
	child := pidfdtest.StartFile(t, paths[0], nil)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	requireAnswer(t, allowed, peer.Executable(paths[0]), id)
	requireAnswer(t, refused, peer.Executable(paths[1]), id)
	require.NoError(t, id.Recheck(t.Context()))
	child.Do("exec", paths[1])
	_, err = id.Digest(t.Context(), peer.SHA256)
	require.ErrorIs(t, err, peer.ErrChanged)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrChanged)
	require.ErrorIs(t, peer.Check(t.Context(), peer.Executable(paths[0]), id), peer.ErrChanged)
	child.End()
}

// TestExecutableAtTheSamePathElsewhere has a peer that runs its own file, which in
// its own mount namespace has the name of a trusted one.
func TestExecutableAtTheSamePathElsewhere(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	trusted, evil := copyProgram(t), copyProgram(t)
	child := pidfdtest.Start(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	child.Do("bind", evil, trusted)
	child.Do("exec", trusted)
	child.Do("dial", s.path)
	child.Do("hello")
	id := s.identify()
	exe, err := id.Executable()
	require.NoError(t, err)
	require.Equal(t, trusted, exe.Path, "so it says")
	requireAnswer(t, refused, peer.Executable(trusted), id)
	requireAnswer(t, allowed, peer.Executable(evil), id)
}

func TestExecutableDigestPolicy(t *testing.T) {
	_, id := newSite(t).connect(nil)
	own := ownDigest(t)
	got, err := id.Digest(t.Context(), peer.SHA256)
	require.NoError(t, err)
	require.Equal(t, own, got)
	other, err := peer.ParseDigest("sha256:" + hex.EncodeToString(make([]byte, 32)))
	require.NoError(t, err)
	verity, err := peer.ParseDigest("fsverity-sha256:" + hex.EncodeToString(own.Sum()))
	require.NoError(t, err)
	requireAnswer(t, allowed, peer.ExecutableDigest(own), id)
	requireAnswer(t, allowed, peer.ExecutableDigest(other, verity, own), id)
	requireAnswer(t, refused, peer.ExecutableDigest(other), id)
	// The test's program has no fs-verity digest, so that none is no other one.
	for _, p := range []peer.Policy{
		peer.ExecutableDigest(verity), peer.ExecutableDigest(verity, other), peer.ExecutableDigest(other, verity),
	} {
		requireAnswer(t, unknown, p, id)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = peer.Check(ctx, peer.ExecutableDigest(own), id)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, peer.ErrRefused)
	_, err = id.Digest(t.Context(), "md5")
	require.ErrorIs(t, err, peer.ErrUnavailable)
}

// TestDigestOfMappedWrites has a program that was changed, after its digest was asked for,
// in a way that changes no time of its inode.
func TestDigestOfMappedWrites(t *testing.T) {
	content, err := os.ReadFile(program(t))
	require.NoError(t, err)
	content = append(content, make([]byte, 4096)...) // which nothing looks at
	file := pidfdtest.NewMemFile(t, content)
	digest := func() []byte {
		s := newSite(t)
		child := pidfdtest.StartFile(t, file.Path(), nil)
		child.Do("dial", s.path)
		child.Do("hello")
		d, err := s.identify().Digest(t.Context(), peer.SHA256)
		require.NoError(t, err)
		child.End()
		return d.Sum()
	}
	changed := file.ChangeTime()
	require.Eventually(t, func() bool { return time.Since(changed) > 3*time.Second }, 20*time.Second, 10*time.Millisecond)
	sum := sha256.Sum256(content)
	require.Equal(t, sum[:], digest())

	content[len(content)-1] = 1
	file.SetLast(1)
	require.Equal(t, changed, file.ChangeTime(), "the times do not show it")
	sum = sha256.Sum256(content)
	require.Equal(t, sum[:], digest())
}

func TestLabelPolicy(t *testing.T) {
	s := newSite(t)
	child := pidfdtest.Start(t, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	c.Label = "" // whatever this machine's LSM says
	requireAnswer(t, unknown, peer.Label("system_u:system_r:x_t:s0"), identify(t, c))

	c.Label = "system_u:system_r:x_t:s0\x00" // as SELinux ends it
	id := identify(t, c)
	requireAnswer(t, allowed, peer.Label("y", "system_u:system_r:x_t:s0"), id)
	requireAnswer(t, refused, peer.Label("system_u:system_r:x_t:s0:c1"), id)

	c.Socket.PID++ // another process made the socket, whose label it is
	requireAnswer(t, unknown, peer.Label("system_u:system_r:x_t:s0"), identify(t, c))
}

func TestUnitPolicy(t *testing.T) {
	needRoot(t)
	root := "/sys/fs/cgroup/systemd"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	name := "sealport-test-" + strconv.Itoa(os.Getpid()) + ".service"
	inner := filepath.Join(root, name, "other.service")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Skipf("needs a cgroup hierarchy that can be written to: %v", err)
	}
	t.Cleanup(func() {
		require.NoError(t, os.Remove(inner))
		require.NoError(t, os.Remove(filepath.Dir(inner)))
	})
	child, id := newSite(t).connect(nil)
	t.Cleanup(child.End)
	for _, group := range []string{filepath.Dir(inner), inner} {
		procs := filepath.Join(group, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(child.PID())), 0o644); err != nil {
			t.Skipf("needs a cgroup that takes processes: %v", err)
		}
		unit, err := id.Unit()
		require.NoError(t, err)
		require.Equal(t, name, unit)
		requireAnswer(t, allowed, peer.Unit("x.service", name), id)
		requireAnswer(t, refused, peer.Unit("other.service"), id)
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(child.PID())), 0o644))
	requireAnswer(t, unknown, peer.Unit(name), id)
}

func TestDescendantPolicy(t *testing.T) {
	s := newSite(t)
	child, id := s.connect(nil)
	requireAnswer(t, allowed, peer.Descendant(), id)

	pid, err := strconv.Atoi(child.Do("spawn", s.path))
	require.NoError(t, err)
	c := s.receive()
	grandchild := identify(t, c)
	requireAnswer(t, allowed, peer.Descendant(), grandchild)

	// An orphan is the child of another process now.
	child.Leave()
	t.Cleanup(func() {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		require.NoError(t, pidfdtest.WaitExit(c.PIDFD))
	})
	require.NoError(t, grandchild.Alive())
	requireAnswer(t, unknown, peer.Descendant(), grandchild)

	self, err := peer.Self()
	require.NoError(t, err)
	defer self.Close()
	requireAnswer(t, unknown, peer.Descendant(), self)
}

// TestInitProvesNoDescent: an init is the parent of all orphans.
func TestInitProvesNoDescent(t *testing.T) {
	needRoot(t)
	if !inside() {
		_, id := newSite(t).connect(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
		requireAnswer(t, unknown, peer.Descendant(), id)
		runInside(t, pidNamespace)
		return
	}
	mountProc(t)
	_, id := newSite(t).connect(nil)
	requireAnswer(t, unknown, peer.Descendant(), id)
}

// TestCodePoliciesNeedDarwin: what this system cannot tell refuses.
func TestCodePoliciesNeedDarwin(t *testing.T) {
	_, id := newSite(t).connect(nil)
	for _, p := range []peer.Policy{
		peer.TeamID("ABCDE12345"), peer.SigningID("com.example"), peer.CDHash(hex.EncodeToString(make([]byte, 20))),
		peer.CodeRequirement("anchor apple"), peer.HardenedRuntime(), peer.NotDebuggable(), peer.PlatformBinary(),
	} {
		requireAnswer(t, unknown, p, id)
	}
}

func ownDigest(t *testing.T) peer.Digest {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	sum := sha256.Sum256(b)
	d, err := peer.ParseDigest("sha256:" + hex.EncodeToString(sum[:]))
	require.NoError(t, err)
	return d
}

// inherit returns a listener for runInside to hand on.
func inherit(t *testing.T, s *site) *os.File {
	t.Helper()
	fd, err := syscall.Dup(s.listener.FD())
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// TestExecutableServedByAProcess has a peer whose program comes from FUSE: what we
// would read need not be what it runs, and its server need not answer.
func TestExecutableServedByAProcess(t *testing.T) {
	needRoot(t)
	if !inside() {
		runInside(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
		return
	}
	path := copyProgram(t)
	served := pidfdtest.ServeFile(t, path)
	s := newSite(t)
	child := pidfdtest.StartFile(t, path, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	c := s.receive()
	id := identify(t, c)
	requireAnswer(t, allowed, peer.Executable(path), id)
	requireAnswer(t, unknown, peer.ExecutableDigest(ownDigest(t)), id)

	served.Hold()
	defer served.Release()
	again := identify(t, c)
	requireAnswer(t, allowed, peer.Default(), again)
	exe, err := again.Executable()
	require.NoError(t, err)
	require.Equal(t, path, exe.Path)
}
