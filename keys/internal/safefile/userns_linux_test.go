package safefile_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// mapped is the attribute of a process in a user namespace that knows these users and
// groups only, as one of them.
func mapped(inside, outside, size, id int) *syscall.SysProcAttr {
	ids := []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: size}}
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: ids,
		GidMappings: ids,
		Credential:  &syscall.Credential{Uid: uint32(id), Gid: uint32(id), NoSetGroups: true},
	}
}

// machine are files of several users, on a machine on which root owns "/". The user is
// "service".
var machine = []entry{
	{path: "home/", mode: 0o755},
	{path: "home/me/", uid: service, gid: service, mode: 0o700},
	{path: "home/me/key", uid: service, gid: service, mode: 0o600},
	{path: "home/me/allowed", uid: service, gid: service, mode: 0o644},
	{path: "home/me/open", uid: service, gid: service, mode: 0o640},
	{path: "link", link: "home"},
	{path: "roots", mode: 0o644},
	{path: "for-me", gid: service, mode: 0o440},
	{path: "aliens", uid: alien, gid: alien, mode: 0o644},
	{path: "open/", mode: 0o777},
	{path: "open/me/", uid: service, gid: service, mode: 0o700},
	{path: "open/me/key", uid: service, gid: service, mode: 0o600},
	{path: "tmp/", mode: 0o777 | syscall.S_ISVTX},
	{path: "tmp/me/", uid: service, gid: service, mode: 0o700},
	{path: "tmp/me/key", uid: service, gid: service, mode: 0o600},
	{path: "tmp/aliens/", uid: alien, gid: alien, mode: 0o755},
	{path: "tmp/aliens/me/", uid: service, gid: service, mode: 0o700},
	{path: "tmp/aliens/me/key", uid: service, gid: service, mode: 0o600},
	{path: "nobodys/", uid: 65534, gid: 65534, mode: 0o755},
	{path: "nobodys/me/", uid: service, gid: service, mode: 0o700},
	{path: "nobodys/me/key", uid: service, gid: service, mode: 0o600},
	{path: "tmp/link", uid: alien, gid: alien, link: "../home"},
}

// TestUserNamespaces is what unshare -r, bubblewrap, flatpak and rootless containers
// make: root, who owns "/", is a user whom the namespace does not know, and so is
// everyone else.
func TestUserNamespaces(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, e := range machine {
			e.make(t, dir)
		}
		for name, attr := range map[string]*syscall.SysProcAttr{
			"root inside":          mapped(0, service, 1, 0),
			"the same user inside": mapped(service, service, 1, service),
			"another user inside":  mapped(1000, service, 1, 1000),
			"the overflow user":    mapped(65534, service, 1, 65534),
			"not in a namespace":   as(service, service),
		} {
			t.Log(name)
			runInside(t, attr, dir)
		}
		return
	}
	const private, list = safefile.Private, safefile.Unforgeable
	read := func(path string, forbidden os.FileMode) error {
		_, _, err := safefile.Read(filepath.Join(inside(), path), 100, forbidden)
		return err
	}
	for _, path := range []string{"home/me/key", "link/me/key", "tmp/me/key"} {
		assert.NoError(t, read(path, private))
	}
	assert.NoError(t, read("home/me/allowed", list))
	for path, fault := range map[string]string{
		"open/me/key":       "open",       // every user can change the path
		"tmp/aliens/me/key": "tmp/aliens", // any user may have made this
		"tmp/link/me/key":   "tmp/link",
		"aliens":            "aliens", // a list of another user
		"home/me/open":      "home/me/open",
	} {
		forbidden := list
		if fault == "home/me/open" {
			forbidden = private
		}
		err := read(path, forbidden)
		requireInsecure(t, err, filepath.Join(inside(), fault))
		if fault == "aliens" || fault == "tmp/aliens" {
			if uid, ownErr := ownerOf("/"); assert.NoError(t, ownErr) && uid != 0 {
				assert.ErrorContains(t, err, "unknown in this user namespace")
			} else {
				assert.ErrorContains(t, err, "owner is user 34567")
			}
		}
	}
	// A namespace that does not know everyone cannot tell another user's directory from
	// root's. Elsewhere 65534 is a user as others are.
	users, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	if strings.Contains(string(users), "4294967295") {
		requireInsecure(t, read("nobodys/me/key", private), filepath.Join(inside(), "nobodys"))
	} else {
		assert.NoError(t, read("nobodys/me/key", private))
	}

	// In a namespace root's file looks like any other user's.
	if uid, err := ownerOf("/"); assert.NoError(t, err) && uid == 0 {
		assert.NoError(t, read("roots", list))
	} else {
		requireInsecure(t, read("roots", list), filepath.Join(inside(), "roots"))
	}

	// What is written can be read.
	dir := filepath.Join(inside(), "home/me/new/keys")
	require.NoError(t, safefile.MkdirPrivate(dir))
	path := filepath.Join(dir, "new")
	require.NoError(t, safefile.Write(path, []byte("content"), 0o600, false))
	_, _, err = safefile.Read(path, 100, private)
	require.NoError(t, err)
	unlock, err := safefile.Lock(context.Background(), path+".lock")
	require.NoError(t, err)
	require.NoError(t, unlock())
	require.NoError(t, safefile.Remove(path))
	require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
}

func ownerOf(path string) (uint32, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(path, &st)
	return st.Uid, err
}

// TestExhaustedInUserNamespaces: a process without descriptors, which cannot read which
// users its namespace knows, does not report an insecure file.
func TestExhaustedInUserNamespaces(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, e := range machine {
			e.make(t, dir)
		}
		for _, attr := range []*syscall.SysProcAttr{
			mapped(0, service, 1, 0), mapped(1000, service, 1, 1000), mapped(65534, service, 1, 65534), as(service, service),
		} {
			runInside(t, attr, dir)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it closes lost descriptors
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	needed := make(map[string]int)
	for _, name := range []string{"home/me/key", "tmp/me/key", "for-me"} {
		if name == "for-me" && os.Geteuid() != service {
			continue // root is not known here
		}
		path := filepath.Join(inside(), name)
		probe, err := os.Open("/")
		require.NoError(t, err)
		few := syscall.Rlimit{Cur: uint64(probe.Fd()), Max: old.Max}
		require.NoError(t, probe.Close())
		failed := 0
		for ; ; failed++ { // with 0, 1, 2 … descriptors left
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
			_, _, err := safefile.Read(path, 100, safefile.Private)
			if err == nil { // and again: none is lost
				_, _, err = safefile.Read(path, 100, safefile.Private)
			}
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
			if err == nil {
				break
			}
			require.Less(t, failed, 20, "descriptors are lost")
			require.True(t, safefile.IsExhausted(err), "%v", err)
			require.NotErrorIs(t, err, safefile.ErrInsecure)
			few.Cur++
		}
		require.NotZero(t, failed)
		needed[name] = failed
	}
	if os.Geteuid() == service {
		require.Equal(t, needed["home/me/key"], needed["for-me"], "a file, and a look at its user or group")
	}
}

// FuzzMapsAll has tables that no kernel writes.
func FuzzMapsAll(f *testing.F) {
	for table, all := range map[string]bool{
		"         0          0 4294967295\n":                                   true,
		"         0       1000          1\n":                                   false,
		"         0       1000          1\n         1     100000      65536\n": false,
		"0 0 65534\n65534 65534 4294901761\n":                                  true,
		"0 0 65534\n65535 65535 4294901760\n":                                  false,
		"0 0\n":                                                                true, "0 0 x\n": true, "0 0 1 1\n": true, // not understood
	} {
		require.Equal(f, all, safefile.MapsAll(table), "%q", table)
		f.Add(table)
	}
	f.Fuzz(func(t *testing.T, table string) {
		// A further range adds users.
		require.True(t, safefile.MapsAll(table+"\n0 0 4294967295\n"))
	})
}

// TestUnmappedProcess is a process whom its own user namespace does not know, so that
// every file looks like its own.
func TestUnmappedProcess(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, e := range machine {
			e.make(t, dir)
		}
		runInside(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}, dir)
		return
	}
	require.Equal(t, 65534, os.Geteuid())
	_, _, err := safefile.Read(filepath.Join(inside(), "roots"), 100, safefile.Unforgeable)
	require.NoError(t, err, "its own: it still is the machine's root")
	path := filepath.Join(inside(), "aliens")
	_, _, err = safefile.Read(path, 100, safefile.Unforgeable)
	requireInsecure(t, err, path)
}

// TestNobodyInAContainer is a container with many users, in which the process runs as
// 65534, which is also what users outside of the container look like.
func TestNobodyInAContainer(t *testing.T) {
	const first, nobody = 100_000, 65534
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, e := range []entry{
			{path: "app/", uid: first, gid: first, mode: 0o755},
			{path: "app/own", uid: first + nobody, gid: first + nobody, mode: 0o644},
			{path: "app/foreign", uid: alien, gid: alien, mode: 0o644},
			{path: "app/key", uid: first, gid: first + nobody, mode: 0o440},
			{path: "app/user/", uid: first + 5, gid: first + 5, mode: 0o755},
			{path: "app/user/own", uid: first + nobody, gid: first + nobody, mode: 0o644},
		} {
			e.make(t, dir)
		}
		runInside(t, mapped(0, first, 65536, nobody), dir)
		return
	}
	dir := filepath.Join(inside(), "app")
	_, _, err := safefile.Read(filepath.Join(dir, "own"), 100, safefile.Unforgeable)
	require.NoError(t, err)
	path := filepath.Join(dir, "foreign")
	_, _, err = safefile.Read(path, 100, safefile.Unforgeable)
	requireInsecure(t, err, path)

	// A user of the container is known, and not this one.
	_, _, err = safefile.Read(filepath.Join(dir, "user", "own"), 100, safefile.Unforgeable)
	requireInsecure(t, err, filepath.Join(dir, "user"))

	// Group 65534 is this process's, and every group outside.
	path = filepath.Join(dir, "key")
	_, _, err = safefile.Read(path, 100, safefile.Private)
	requireInsecure(t, err, path)
	_, _, err = safefile.Read(path, 100, safefile.Private, safefile.GroupMayRead(nobody))
	require.NoError(t, err)
}

// TestWithoutProc: where the table of users cannot be read, 65534 is a user like any other.
func TestWithoutProc(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, e := range machine {
			e.make(t, dir)
		}
		entry{path: "root/", mode: 0o700}.make(t, dir)
		entry{path: "root/key", mode: 0o600}.make(t, dir)
		runInside(t, mountNamespace, dir)
		return
	}
	require.NoError(t, syscall.Mount("test", "/proc", "tmpfs", 0, ""))
	_, _, err := safefile.Read(filepath.Join(inside(), "root", "key"), 100, safefile.Private)
	require.NoError(t, err)
	_, _, err = safefile.Read(filepath.Join(inside(), "nobodys", "me", "key"), 100, safefile.Private)
	requireInsecure(t, err, filepath.Join(inside(), "nobodys"))
}
