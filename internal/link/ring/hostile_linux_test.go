package ring_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/link/socket"
)

const (
	evilSize = 64 << 10
	evilRole = "SEALPORT_TEST_EVIL"
)

// Where the words are (docs/PROTOCOL.md, "Ring"): the evil process is written
// from the document, as an attacker would.
const (
	toHost, toClient = 0, 512 // control blocks
	tailWord         = 0
	headWord         = 128
	drainedWord      = 136
	readerWaits      = 256
	writerWaits      = 384
	toHostData       = 4096
)

// evils are what the hostile client does to the memory that it shares with us.
// mem is the mapping, memfd its descriptor.
var evils = map[string]func(mem []byte, memfd int) error{
	"tail beyond the ring": func(mem []byte, _ int) error {
		return put64(mem, toHost+tailWord, evilSize+8)
	},
	"tail of 2^63": func(mem []byte, _ int) error {
		return put64(mem, toHost+tailWord, 1<<63)
	},
	"tail before the head": func(mem []byte, _ int) error {
		return put64(mem, toHost+tailWord, ^uint64(7))
	},
	"frame longer than allowed": func(mem []byte, _ int) error {
		binary.LittleEndian.PutUint32(mem[toHostData:], evilSize)
		return put64(mem, toHost+tailWord, 64)
	},
	"frame of 4 GiB": func(mem []byte, _ int) error {
		binary.LittleEndian.PutUint32(mem[toHostData:], 0xFFFFFFFE)
		return put64(mem, toHost+tailWord, 64)
	},
	"head ahead of the tail": func(mem []byte, _ int) error {
		return put64(mem, toClient+headWord, 1<<40)
	},
	"head that goes back": func(mem []byte, _ int) error {
		return put64(mem, toClient+headWord, ^uint64(0))
	},
	"truncated": func(_ []byte, memfd int) error {
		for _, size := range []int64{0, 4096, 1 << 30} {
			if err := syscall.Ftruncate(memfd, size); !errors.Is(err, syscall.EPERM) {
				return fmt.Errorf("truncating to %d: %v, want EPERM", size, err)
			}
		}
		return put64(mem0, toHost+tailWord, 1<<63) // so that the test sees an end
	},
	"everything at random": func(mem []byte, _ int) error {
		r := rand.New(rand.NewPCG(1, 2))
		for range 200_000 {
			at := r.IntN(len(mem))
			if r.IntN(2) == 0 {
				at = r.IntN(1024) // the control words
			}
			mem[at] = byte(r.Uint32())
		}
		return put64(mem, toHost+tailWord, 1<<63)
	},
}

var mem0 []byte

func put64(mem []byte, at int, v uint64) error {
	binary.NativeEndian.PutUint64(mem[at:], v) // control words are native
	return nil
}

func TestMain(m *testing.M) {
	if name := os.Getenv(evilRole); name != "" {
		if err := evil(evils[name]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	leaktest.Main(m)
}

// evil is the hostile process: descriptor 3 is the socket, 4 the memory file. It
// does its deed, rings the doorbell and stays until the host hangs up.
func evil(do func(mem []byte, memfd int) error) error {
	mem, err := syscall.Mmap(4, 0, ring.FileSize(evilSize), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	mem0 = mem
	if err := do(mem, 4); err != nil {
		return err
	}
	// The host may have hung up already.
	_, err = syscall.Write(3, []byte{0})
	if err == nil {
		_, err = io.Copy(io.Discard, os.NewFile(3, "socket"))
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// victim starts a hostile client and returns the host's link with it.
func victim(t *testing.T, name string) (link.Link, *exec.Cmd) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.SetNonblock(fds[0], true))
	sock, err := socket.NewConn(fds[0])
	require.NoError(t, err)
	m, memfd, err := ring.Create(evilSize)
	require.NoError(t, err)

	theirs, memory := os.NewFile(uintptr(fds[1]), "theirs"), os.NewFile(uintptr(memfd), "memory")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), evilRole+"="+name)
	cmd.ExtraFiles = []*os.File{theirs, memory}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	require.NoError(t, errors.Join(theirs.Close(), memory.Close()))
	return ring.New(m, ring.Host, sock, cred.New(socket.CloseFD), ring.Options{}), cmd
}

// TestHostilePeer lets another process do to the shared memory whatever it
// likes. The link must end in ErrProtocol, within its bounds, and an honest link
// beside it must not notice.
func TestHostilePeer(t *testing.T) {
	honest := pairs{size: evilSize, socks: make(map[link.Link]*socket.Conn)}
	for name := range evils {
		t.Run(name, func(t *testing.T) {
			a, b := honest.pair(t)
			l, cmd := victim(t, name)
			// Both directions: the writer meets a bad head, the reader a bad
			// tail. Which of them there is depends on the deed.
			ctx, cancel := context.WithCancel(context.Background())
			reads, writes := make(chan error, 1), make(chan error, 1)
			go func() { reads <- readOn(ctx, l) }()
			go func() { writes <- writeOn(ctx, l) }()
			var err error
			select {
			case err = <-reads:
				cancel()
				<-writes
			case err = <-writes:
				cancel()
				<-reads
			}
			assert.ErrorIs(t, err, link.ErrProtocol)

			require.NoError(t, a.WriteFrame(context.Background(), nil, []byte("honest")))
			frame, err := b.ReadFrame(context.Background())
			require.NoError(t, err)
			assert.Equal(t, "honest", string(frame))

			require.NoError(t, errors.Join(l.Close(), a.Close(), b.Close()))
			assert.NoError(t, cmd.Wait())
		})
	}
	require.Len(t, evils, 9)
}

func readOn(ctx context.Context, l link.Link) error {
	for {
		if _, err := l.ReadFrame(ctx); err != nil {
			return err
		}
	}
}

func writeOn(ctx context.Context, l link.Link) error {
	for {
		if err := l.WriteFrame(ctx, nil, make([]byte, 1000)); err != nil {
			return err
		}
	}
}

// TestDoorbellWithDescriptor: a peer that sends a descriptor where its doorbells are
// expected ends the link, which does not wait for that to be closed.
func TestDoorbellWithDescriptor(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer syscall.Close(fds[1])
	sock, err := socket.NewConn(fds[0]) // does not refuse it, as before Linux 6.16
	require.NoError(t, err)
	m, memfd, err := ring.Create(evilSize)
	require.NoError(t, err)
	require.NoError(t, syscall.Close(memfd))
	l := ring.New(m, ring.Host, sock, cred.New(socket.CloseFD), ring.Options{})
	require.NoError(t, l.WriteFrame(t.Context(), nil, []byte("before")))

	slow, err := linktest.NewSlow()
	require.NoError(t, err)
	defer func() { assert.NoError(t, slow.End()) }()
	require.NoError(t, syscall.Sendmsg(fds[1], []byte{0}, syscall.UnixRights(slow.FD), nil, 0))
	require.NoError(t, slow.Sent())
	for range 2 {
		_, err = l.ReadFrame(t.Context())
		require.ErrorIs(t, err, link.ErrProtocol)
		require.ErrorIs(t, l.WriteFrame(t.Context(), nil, []byte("after")), link.ErrProtocol)
	}
	<-l.Gone().Done()
	require.NoError(t, l.Close())
}

// TestNoAllocations: a frame costs none, on either side.
func TestNoAllocations(t *testing.T) {
	p := pairs{size: 256 << 10, socks: make(map[link.Link]*socket.Conn)}
	a, b := p.pair(t)
	head, body := []byte("head"), make([]byte, 64)
	ctx := context.Background()
	allocs := testing.AllocsPerRun(1000, func() {
		if err := a.WriteFrame(ctx, head, body); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadFrame(ctx); err != nil {
			t.Fatal(err)
		}
	})
	assert.Zero(t, allocs)
	require.NoError(t, errors.Join(a.Close(), b.Close()))
}
