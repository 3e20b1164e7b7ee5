package safefile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// FUSE's wire format, from linux/fuse.h, version 7.31.
const (
	fuseLookup     = 1
	fuseForget     = 2
	fuseGetattr    = 3
	fuseSetattr    = 4
	fuseMknod      = 8
	fuseMkdir      = 9
	fuseUnlink     = 10
	fuseRename     = 12
	fuseLink       = 13
	fuseOpen       = 14
	fuseRead       = 15
	fuseWrite      = 16
	fuseRelease    = 18
	fuseFsync      = 20
	fuseFlush      = 25
	fuseInit       = 26
	fuseOpendir    = 27
	fuseReaddir    = 28
	fuseReleasedir = 29
	fuseFsyncdir   = 30
	fuseSetlk      = 32
	fuseInterrupt  = 36
	fuseForgetMany = 42
	fuseRename2    = 45

	fuseInHeader  = 40
	fuseOutHeader = 16
	fuseMaxWrite  = 128 << 10

	fuseFlockLocks = 1 << 10 // a flag of INIT: it has locks of its own
)

// fault is how the file system fails at one kind of request.
type fault struct {
	errno syscall.Errno
	done  bool // the request is carried out nevertheless
}

// fuseFS is a file system in memory that can do less than others. It is one directory.
//
// The process that serves it must not use it, or open it: a request that it waits for
// while it is killed is never answered, and the process never ends. See writer.
type fuseFS struct {
	dev    int
	ended  chan struct{}
	faults map[uint32]fault // not changed while it is mounted
	modes  uint32           // of all files if not 0, whatever is asked for
	maker  uint32           // owns the directories that are made
	sticky bool             // it is like /tmp
	user   int              // has mounted it

	// The first request of the kind held is announced and then waits for release.
	held      uint32
	announced chan struct{}
	release   chan struct{}

	mu      sync.Mutex
	nodes   map[uint64]*fuseNode
	names   map[string]uint64
	written int // bytes, to any file
}

type fuseNode struct {
	mode    uint32
	uid     uint32
	links   uint32
	ino     uint64 // if not its number
	changed uint64 // in seconds since 1970
	content []byte
}

// mount mounts a file system at dir. The test must run in a mount namespace of its
// own. It is unmounted by the returned function.
func (s *fuseFS) mount(t testing.TB, dir string) (unmount func()) {
	t.Helper()
	var err error
	if s.dev, err = syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	s.ended = make(chan struct{})
	s.nodes = map[uint64]*fuseNode{1: {mode: syscall.S_IFDIR | 0o700, links: 2}}
	if s.sticky {
		s.nodes[1].mode = syscall.S_IFDIR | syscall.S_ISVTX | 0o777
	}
	s.names = make(map[string]uint64)
	options := fmt.Sprintf("fd=%d,rootmode=40700,user_id=%d,group_id=0,allow_other", s.dev, s.user)
	if err := syscall.Mount("test", dir, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	go s.serve()
	return func() {
		require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		<-s.ended
		require.NoError(t, syscall.Close(s.dev))
	}
}

func (s *fuseFS) serve() {
	defer close(s.ended)
	b := make([]byte, fuseMaxWrite+4096)
	for {
		n, err := syscall.Read(s.dev, b)
		switch {
		case err == syscall.EINTR || err == syscall.ENOENT: // ENOENT: a request was interrupted
			continue
		case err != nil || n < fuseInHeader:
			return // ENODEV: unmounted
		}
		request := bytes.Clone(b[:n])
		opcode := binary.NativeEndian.Uint32(request[4:])
		switch opcode {
		case fuseForget, fuseForgetMany, fuseInterrupt:
			continue // these have no answer
		case s.held:
			s.held = 0
			go func() { // others are served meanwhile
				s.announced <- struct{}{}
				<-s.release
				s.reply(request, nil, 0)
			}()
			continue
		}
		body, errno := []byte(nil), syscall.Errno(0)
		f, faulty := s.faults[opcode]
		if !faulty || f.done {
			body, errno = s.answer(opcode, binary.NativeEndian.Uint64(request[16:]), request[fuseInHeader:])
		}
		if faulty {
			body, errno = nil, f.errno
		}
		s.reply(request, body, errno)
	}
}

func (s *fuseFS) reply(request, body []byte, errno syscall.Errno) {
	out := binary.NativeEndian.AppendUint32(nil, uint32(fuseOutHeader+len(body)))
	out = binary.NativeEndian.AppendUint32(out, uint32(-int32(errno)))
	out = append(out, request[8:16]...) // the request's number
	_, _ = syscall.Write(s.dev, append(out, body...))
}

func (s *fuseFS) answer(opcode uint32, id uint64, in []byte) ([]byte, syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, node := binary.NativeEndian, s.nodes[id]
	switch opcode {
	case fuseInit:
		out := make([]byte, 64)
		e.PutUint32(out[0:], 7)
		e.PutUint32(out[4:], 31)
		e.PutUint32(out[20:], fuseMaxWrite)
		if _, locks := s.faults[fuseSetlk]; locks {
			e.PutUint32(out[12:], fuseFlockLocks)
		}
		return out, 0
	case fuseLookup:
		found, ok := s.names[fuseName(in)]
		if !ok {
			return nil, syscall.ENOENT
		}
		return s.entry(found), 0
	case fuseGetattr:
		return s.attr(id), 0
	case fuseSetattr:
		if valid := e.Uint32(in); valid&1 != 0 {
			node.mode = node.mode&syscall.S_IFMT | e.Uint32(in[68:])&0o7777
		} else if valid&8 != 0 {
			node.content = node.content[:e.Uint64(in[16:])]
		}
		return s.attr(id), 0
	case fuseMknod:
		next := uint64(len(s.nodes) + 1)
		s.nodes[next] = &fuseNode{mode: e.Uint32(in), links: 1}
		s.names[fuseName(in[16:])] = next
		return s.entry(next), 0
	case fuseMkdir:
		next := uint64(len(s.nodes) + 1)
		s.nodes[next] = &fuseNode{mode: syscall.S_IFDIR | e.Uint32(in)&0o7777, uid: s.maker, links: 2}
		s.names[fuseName(in[8:])] = next
		return s.entry(next), 0
	case fuseUnlink:
		s.drop(fuseName(in))
		return nil, 0
	case fuseLink:
		linked, name := e.Uint64(in), fuseName(in[8:])
		if s.names[name] != 0 {
			return nil, syscall.EEXIST
		}
		s.names[name] = linked
		s.nodes[linked].links++
		return s.entry(linked), 0
	case fuseRename:
		from, to, _ := bytes.Cut(in[8:], []byte{0})
		return nil, s.rename(string(from), fuseName(to), false)
	case fuseRename2:
		from, to, _ := bytes.Cut(in[16:], []byte{0})
		return nil, s.rename(string(from), fuseName(to), e.Uint32(in[8:])&1 != 0)
	case fuseRead:
		offset := min(e.Uint64(in[8:]), uint64(len(node.content)))
		size := min(uint64(e.Uint32(in[16:])), uint64(len(node.content))-offset)
		return node.content[offset : offset+size], 0
	case fuseWrite:
		offset, data := e.Uint64(in[8:]), in[40:40+e.Uint32(in[16:])]
		node.content = append(node.content[:offset], data...)
		s.written += len(data)
		return e.AppendUint64(nil, uint64(len(data))), 0
	case fuseOpen, fuseOpendir:
		return make([]byte, 16), 0
	case fuseReaddir:
		return s.list(e.Uint64(in[8:])), 0
	case fuseRelease, fuseReleasedir, fuseFlush, fuseFsync, fuseFsyncdir:
		return nil, 0
	}
	return nil, syscall.ENOSYS
}

func fuseName(in []byte) string { return string(bytes.TrimRight(in, "\x00")) }

func (s *fuseFS) drop(name string) {
	if id, ok := s.names[name]; ok {
		s.nodes[id].links--
		delete(s.names, name)
	}
}

func (s *fuseFS) rename(from, to string, keep bool) syscall.Errno {
	if keep && s.names[to] != 0 {
		return syscall.EEXIST
	}
	id := s.names[from]
	s.drop(to)
	delete(s.names, from)
	s.names[to] = id
	return 0
}

// attributes of a node, struct fuse_attr. They are valid for 0 s: each stat asks again.
func (s *fuseFS) attributes(id uint64) []byte {
	e, node, out := binary.NativeEndian, s.nodes[id], make([]byte, 88)
	mode := node.mode
	if s.modes != 0 && mode&syscall.S_IFMT == syscall.S_IFREG {
		mode = syscall.S_IFREG | s.modes
	}
	e.PutUint64(out[0:], max(id, node.ino))
	e.PutUint64(out[8:], uint64(len(node.content)))
	e.PutUint64(out[40:], node.changed)
	e.PutUint32(out[60:], mode)
	e.PutUint32(out[64:], node.links)
	e.PutUint32(out[68:], node.uid)
	return out
}

func (s *fuseFS) attr(id uint64) []byte { return append(make([]byte, 16), s.attributes(id)...) }

func (s *fuseFS) entry(id uint64) []byte {
	out := make([]byte, 40)
	binary.NativeEndian.PutUint64(out, id)
	return append(out, s.attributes(id)...)
}

// list returns all entries of the directory at once.
func (s *fuseFS) list(offset uint64) (out []byte) {
	if offset != 0 {
		return nil
	}
	n := uint64(0)
	for name, id := range s.names {
		n++
		out = binary.NativeEndian.AppendUint64(out, id)
		out = binary.NativeEndian.AppendUint64(out, n)
		out = binary.NativeEndian.AppendUint32(out, uint32(len(name)))
		out = binary.NativeEndian.AppendUint32(out, syscall.DT_REG)
		out = append(out, name...)
		out = append(out, make([]byte, -len(out)&7)...)
	}
	return out
}

// content returns what a name leads to, and how many names there are, without the file
// system of the kernel.
func (s *fuseFS) content(name string) (content string, there bool, names int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, there := s.names[name]
	if there {
		content = string(s.nodes[id].content)
	}
	return content, there, len(s.names)
}

// put makes a file.
func (s *fuseFS) put(name, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := uint64(len(s.nodes) + 1)
	s.nodes[next] = &fuseNode{mode: syscall.S_IFREG | 0o600, links: 1, content: []byte(content)}
	s.names[name] = next
}

// change changes a file behind the kernel's back.
func (s *fuseFS) change(name string, how func(*fuseNode)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(s.nodes[s.names[name]])
}

// temporary reports whether there is a temporary file with some content.
func (s *fuseFS) temporary() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, id := range s.names {
		if strings.HasPrefix(name, ".tmp-") && len(s.nodes[id].content) > 0 {
			return true
		}
	}
	return false
}
