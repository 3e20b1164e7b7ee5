package socket_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/memfd"
	"github.com/sealport/sealport/internal/link/socket"
)

// pairs makes links and remembers their sockets, so that Kill can end one without
// an end datagram.
type pairs struct {
	sockets func(t testing.TB) (x, y *socket.Conn)
	of      map[link.Link]*socket.Conn
}

func (p pairs) pair(t testing.TB) (a, b link.Link) {
	t.Helper()
	host, client := twoCounts(t)
	return p.pairWith(t, host, client)
}

// bare is pair without Counts.
func (p pairs) bare(t testing.TB) (a, b link.Link) {
	t.Helper()
	return p.pairWith(t, nil, nil)
}

func (p pairs) pairWith(t testing.TB, host, client *socket.Counts) (a, b link.Link) {
	t.Helper()
	x, y := p.sockets(t)
	make := func(mine, theirs *socket.Conn, counts *socket.Counts) link.Link {
		require.NoError(t, theirs.Send(context.Background(), []byte("hello"), nil, -1))
		_, ctl, err := mine.Receive(context.Background(), make([]byte, 16))
		require.NoError(t, err)
		c, err := mine.Credentials(&ctl)
		require.NoError(t, err)
		l, err := socket.New(mine, c, counts)
		require.NoError(t, err)
		p.of[l] = mine
		return l
	}
	// Both hellos before either link: a link's receiver would take the other's.
	require.NoError(t, x.Send(context.Background(), []byte("first"), nil, -1))
	_, ctl, err := y.Receive(context.Background(), []byte("     "))
	require.NoError(t, err)
	ctl.Close()
	return make(x, y, host), make(y, x, client)
}

func refusingPair(t testing.TB) (x, y *socket.Conn) {
	x, y, err := socket.Pair()
	require.NoError(t, err)
	return x, y
}

func TestConformance(t *testing.T) {
	p := pairs{of: make(map[link.Link]*socket.Conn)}
	c := linktest.Carrier{
		Kill:                 func(l link.Link) { _ = p.of[l].Close() },
		Held:                 16 << 20,
		CountsUnacknowledged: true,
	}
	p.sockets = refusingPair
	c.Pair = p.pair
	linktest.Run(t, c)
	p.sockets = openPair
	c.Pair = p.pair
	t.Run("before Linux 6.16", func(t *testing.T) { linktest.Run(t, c) })
	// Where memory cannot be shared.
	p.sockets = refusingPair
	c.Pair, c.CountsUnacknowledged = p.bare, false
	t.Run("bare", func(t *testing.T) { linktest.Run(t, c) })
}

// A host that sends something else than counts is found out before it is mapped.
func TestOpenCountsRefuses(t *testing.T) {
	for name, make := range map[string]func() (int, error){
		"another size": func() (int, error) {
			return memfd.Create(2 * socket.CountsSize)
		},
		"not sealed": func() (int, error) {
			fd, err := unix.MemfdCreate("sealport", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err == nil {
				err = unix.Ftruncate(fd, socket.CountsSize)
			}
			return fd, err
		},
		"no memory file": func() (int, error) { return unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := make()
			require.NoError(t, err)
			_, err = socket.OpenCounts(fd)
			require.ErrorIs(t, err, memfd.ErrNotSealed)
			require.NoError(t, socket.CloseFD(fd))
		})
	}
}
