package safefile_test

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// The users of these tests. A service has a group of its own and is in one that it
// shares with others.
const (
	service = 12345
	shared  = 23456
	alien   = 34567
)

// acl returns an access control list: of the owner, these entries of a tag, permissions
// and an ID, and a mask.
func acl(mask uint16, entries ...[3]uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	add := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	const none = 1<<32 - 1
	add(1, 6, none)
	for _, e := range entries {
		if e[0] == 2 {
			add(2, uint16(e[1]), e[2])
		}
	}
	own := uint16(0)
	for _, e := range entries {
		if e[0] == 4 {
			own = uint16(e[1])
		}
	}
	add(4, own, none)
	for _, e := range entries {
		if e[0] == 8 {
			add(8, uint16(e[1]), e[2])
		}
	}
	add(16, mask, none)
	add(32, 0, none)
	return b
}

func ofUser(perm, id uint32) [3]uint32  { return [3]uint32{2, perm, id} }
func ofGroup(perm, id uint32) [3]uint32 { return [3]uint32{8, perm, id} }
func ofOwnGroup(perm uint32) [3]uint32  { return [3]uint32{4, perm, 0} }

// manyUsers returns more entries than are read.
func manyUsers() (entries [][3]uint32) {
	for id := range uint32(600) {
		entries = append(entries, ofUser(4, alien+id))
	}
	return entries
}

// accepted is short for the last argument of Read.
type accepted []safefile.Access

// serviceFiles are what root can make for a service.
var serviceFiles = []struct {
	name      string
	file      entry
	forbidden fs.FileMode
	accepted  accepted
	who       string // the error says this, "" if the file is accepted
	advice    string
}{
	{"root's for the service's group", entry{gid: service, mode: 0o440}, safefile.Private, nil, "", ""},
	{"root's for the service's group, with mode 0640", entry{gid: service, mode: 0o640}, safefile.Private, nil, "", ""},
	{"the group can write", entry{gid: service, mode: 0o460}, safefile.Private, accepted{safefile.GroupMayRead(service), safefile.EveryoneMayRead()}, "group 12345 can write", "chmod g-w"},
	{"a list that the group can write", entry{gid: service, mode: 0o664}, safefile.Unforgeable, nil, "group 12345 can write", "chmod g-w"},
	{"a group with others", entry{gid: shared, mode: 0o440}, safefile.Private, accepted{safefile.GroupMayRead(service)}, "group 23456 can read", "run chgrp 12345 and chmod 0440, so that only the group of this process can read it, or accept it with keys.GroupMayRead(23456)"},
	{"a group that is accepted", entry{gid: shared, mode: 0o440}, safefile.Private, accepted{safefile.GroupMayRead(alien), safefile.GroupMayRead(shared)}, "", ""},
	{"everyone", entry{mode: 0o444}, safefile.Private, accepted{safefile.GroupMayRead(0)}, "every user can read", "or accept it with keys.EveryoneMayRead"},
	{"everyone, accepted", entry{mode: 0o444}, safefile.Private, accepted{safefile.EveryoneMayRead()}, "", ""},
	{"a zero Access accepts nothing", entry{mode: 0o444}, safefile.Private, make(accepted, 1), "every user can read", ""},
	{"everyone can write", entry{mode: 0o446}, safefile.Private, accepted{safefile.EveryoneMayRead()}, "every user can write", "chmod o-w"},
	{"the service's own", entry{uid: service, gid: service, mode: 0o640}, safefile.Private, nil, "group 12345 can read", "run chmod 0600"},
	{"the service's own, accepted", entry{uid: service, gid: service, mode: 0o640}, safefile.Private, accepted{safefile.GroupMayRead(service)}, "", ""},
	{"another user's", entry{uid: alien, gid: service, mode: 0o440}, safefile.Private, accepted{safefile.GroupMayRead(service), safefile.EveryoneMayRead()}, "owner is user 34567", "chown 12345"},

	// Access control lists, which systemd uses where it can.
	{"a list for the service", entry{mode: 0o440, acl: acl(4, ofUser(4, service))}, safefile.Private, nil, "", ""},
	{"a list for the service, with root in it", entry{mode: 0o440, acl: acl(4, ofUser(4, service), ofUser(6, 0))}, safefile.Private, nil, "", ""},
	{"a list for another user too", entry{mode: 0o440, acl: acl(4, ofUser(4, service), ofUser(4, alien))}, safefile.Private, accepted{safefile.GroupMayRead(0)}, "user 34567 can read", "setfacl -x u:34567"},
	{"a list for a group", entry{mode: 0o440, acl: acl(4, ofGroup(4, shared))}, safefile.Private, nil, "group 23456 can read", "run chgrp 12345 and chmod 0440"},
	{"its own group in a list", entry{gid: shared, mode: 0o440, acl: acl(4, ofUser(4, service), ofOwnGroup(4))}, safefile.Private, nil, "group 23456 can read", ""},
	{"its own group in a list, accepted", entry{gid: shared, mode: 0o440, acl: acl(4, ofUser(4, service), ofOwnGroup(4))}, safefile.Private, accepted{safefile.GroupMayRead(shared)}, "", ""},
	{"a list for a group that is accepted", entry{mode: 0o440, acl: acl(4, ofGroup(4, shared))}, safefile.Private, accepted{safefile.GroupMayRead(shared)}, "", ""},
	{"a list with which another user can write", entry{mode: 0o460, acl: acl(6, ofUser(4, service), ofUser(6, alien))}, safefile.Private, accepted{safefile.EveryoneMayRead()}, "user 34567 can write", "setfacl"},
	{"the same, masked, for a key", entry{mode: 0o440, acl: acl(4, ofUser(4, service), ofUser(6, alien))}, safefile.Private, accepted{safefile.EveryoneMayRead()}, "", ""},
	{"the same, masked", entry{mode: 0o440, acl: acl(4, ofUser(4, service), ofUser(6, alien))}, safefile.Unforgeable, nil, "", ""},
}

// TestServiceManagers has a service read what root made for it, as systemd does for
// LoadCredential with User, and containers do for their secrets: in a directory that
// only its group can read, on a file system that the service cannot write.
func TestServiceManagers(t *testing.T) {
	systems := []string{"tmpfs", "ramfs"}
	switch {
	case inside() == "":
		needRoot(t)
		runInside(t, mountNamespace, systemDir(t))
	case os.Geteuid() == 0:
		for _, system := range systems {
			dir := filepath.Join(inside(), system)
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, syscall.Mount("test", dir, system, 0, ""))
			for _, f := range serviceFiles {
				if f.file.acl != nil && system == "ramfs" {
					continue // it has no lists
				}
				f.file.path = fileName(f.name)
				f.file.make(t, dir)
			}
			require.NoError(t, os.Chown(dir, 0, service))
			require.NoError(t, os.Chmod(dir, 0o550))
		}
		runInside(t, as(service, service, shared), inside())
	default:
		for _, system := range systems {
			for _, f := range serviceFiles {
				if f.file.acl != nil && system == "ramfs" {
					continue
				}
				path := filepath.Join(inside(), system, fileName(f.name))
				data, _, err := safefile.Read(path, 100, f.forbidden, f.accepted...)
				if f.who == "" {
					assert.NoError(t, err, "%s: %s", system, f.name)
					continue
				}
				if !assert.Error(t, err, "%s: %s", system, f.name) {
					continue
				}
				requireInsecure(t, err, path)
				assert.Contains(t, err.Error(), f.who)
				assert.Contains(t, err.Error(), f.advice)
				assert.Nil(t, data)
			}
		}
	}
}

// TestRootsGroup is a process of another user with the group of root. What is for every
// user is not for its group.
func TestRootsGroup(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		entry{path: "group", mode: 0o440}.make(t, dir)
		entry{path: "everyone", mode: 0o444}.make(t, dir)
		runInside(t, as(service, 0), dir)
		return
	}
	_, _, err := safefile.Read(filepath.Join(inside(), "group"), 100, safefile.Private)
	require.NoError(t, err)
	path := filepath.Join(inside(), "everyone")
	_, _, err = safefile.Read(path, 100, safefile.Private)
	requireInsecure(t, err, path)
}

// TestLongList: a list that is too long to be read could grant access to anyone.
func TestLongList(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		runInside(t, mountNamespace, systemDir(t))
		return
	}
	dir := inside()
	require.NoError(t, syscall.Mount("test", dir, "tmpfs", 0, "mode=755")) // others keep shorter lists only
	entry{path: "key", mode: 0o440, acl: acl(4, manyUsers()...)}.make(t, dir)
	entry{path: "directory/", mode: 0o770, acl: acl(7, manyUsers()...)}.make(t, dir)
	_, _, err := safefile.Read(filepath.Join(dir, "key"), 100, safefile.Private, safefile.GroupMayRead(0))
	require.ErrorIs(t, err, syscall.ERANGE)
	require.ErrorIs(t, safefile.MkdirPrivate(filepath.Join(dir, "directory")), syscall.ERANGE)
	_, _, err = safefile.Read(filepath.Join(dir, "directory", "key"), 100, safefile.Private)
	require.ErrorIs(t, err, syscall.ERANGE)
}

// TestReadersOfAFileThatIsReplaced: the same users can read the new file, and no others.
func TestReadersOfAFileThatIsReplaced(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, name := range []string{"member/", "stranger/"} {
			entry{path: name, uid: service, gid: service, mode: 0o700}.make(t, dir)
			entry{path: name + "mine", uid: service, gid: service, mode: 0o640}.make(t, dir)
			entry{path: name + "shared", uid: service, gid: shared, mode: 0o640}.make(t, dir)
			entry{path: name + "all", uid: service, gid: shared, mode: 0o644}.make(t, dir)
			entry{path: name + "list", uid: service, gid: service, mode: 0o640, acl: acl(4, ofUser(4, alien))}.make(t, dir)
		}
		runInside(t, as(service, service, shared), dir+"/member")
		runInside(t, as(service, service), dir+"/stranger")
		return
	}
	member := filepath.Base(inside()) == "member"
	for name, want := range map[string]fs.FileMode{"mine": 0o640, "shared": 0o640, "all": 0o644, "list": 0o600} {
		path := filepath.Join(inside(), name)
		before, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, safefile.Write(path, nil, 0o644, true))
		after, err := os.Stat(path)
		require.NoError(t, err)
		group := before.Sys().(*syscall.Stat_t).Gid
		if group == shared && !member {
			want, group = want&^0o040, service
		}
		assert.Equal(t, want, after.Mode().Perm(), name)
		assert.Equal(t, group, after.Sys().(*syscall.Stat_t).Gid, name)
		require.NoError(t, safefile.Write(path, nil, 0o600, true))
		after, err = os.Stat(path)
		require.NoError(t, err)
		assert.EqualValues(t, 0o600, after.Mode().Perm(), name)
	}
}

// TestRootDirectory is one that others can write, as that of a chroot may be.
func TestRootDirectory(t *testing.T) {
	needRoot(t)
	dir := systemDir(t)
	entry{path: "sub/", mode: 0o700}.make(t, dir)
	entry{path: "sub/key", mode: 0o600}.make(t, dir)
	for mode, secure := range map[fs.FileMode]bool{0o755: true, 0o777: false} {
		require.NoError(t, os.Chmod(dir, mode))
		result := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			err := syscall.Unshare(syscall.CLONE_FS)
			if err == nil {
				err = syscall.Chroot(dir)
			}
			if err == nil {
				_, _, err = safefile.Read("/sub/key", 100, safefile.Private)
			}
			result <- err
		}()
		if err := <-result; secure {
			require.NoError(t, err)
		} else {
			requireInsecure(t, err, "/")
		}
	}
}

// TestListsThatNoKernelWrites are refused.
func TestListsThatNoKernelWrites(t *testing.T) {
	good := acl(4, ofUser(4, service))
	for name, list := range map[string][]byte{
		"version": append([]byte{3}, good[1:]...), "no entries": good[:4], "no header": good[:3], "cut off": good[:len(good)-1],
		"another tag": append(good[:len(good):len(good)], 64, 0, 4, 0, 0, 0, 0, 0),
	} {
		_, err := safefile.Granted(0o440, 0, list)
		require.Error(t, err, name)
	}
	granted, err := safefile.Granted(0o440, 0, good)
	require.NoError(t, err)
	require.EqualValues(t, 4, granted)
}

func fileName(test string) string { return strings.ReplaceAll(test, " ", "-") }

// TestDirectoriesWithLists has lists decide who can replace a file.
func TestDirectoriesWithLists(t *testing.T) {
	dirs := []struct {
		dir entry
		who string
	}{
		{entry{path: "mine/", mode: 0o770, acl: acl(7, ofUser(7, service))}, ""},
		{entry{path: "masked/", mode: 0o750, acl: acl(5, ofUser(7, alien), ofUser(5, service))}, ""},
		{entry{path: "others/", mode: 0o770, acl: acl(7, ofUser(5, service), ofUser(7, alien))}, "user 34567 can replace"},
		{entry{path: "group/", mode: 0o775, gid: service}, "group 12345 can replace"},
	}
	if inside() == "" {
		needRoot(t)
		dir := systemDir(t)
		for _, d := range dirs {
			d.dir.make(t, dir)
			entry{path: d.dir.path + "key", uid: service, mode: 0o600}.make(t, dir)
		}
		runInside(t, as(service, service), dir)
		return
	}
	for _, d := range dirs {
		dir := filepath.Join(inside(), d.dir.path)
		_, _, err := safefile.Read(filepath.Join(dir, "key"), 100, safefile.Private)
		if d.who == "" {
			assert.NoError(t, err, d.dir.path)
			continue
		}
		requireInsecure(t, err, dir)
		assert.Contains(t, err.Error(), d.who)
	}
}

// FuzzACL has lists that no kernel writes. Nothing is granted that the mask does not
// have.
func FuzzACL(f *testing.F) {
	f.Add(acl(4, ofUser(4, service), ofGroup(6, shared)), uint32(0o640), uint32(1))
	f.Add([]byte{2, 0, 0, 0, 1}, uint32(0o640), uint32(1))
	f.Fuzz(func(t *testing.T, list []byte, mode, gid uint32) {
		granted, err := safefile.Granted(fs.FileMode(mode&0o777), gid, list)
		if err != nil {
			require.Zero(t, granted)
			return
		}
		require.Zero(t, granted&^fs.FileMode(mode>>3|mode)&7)
	})
}
