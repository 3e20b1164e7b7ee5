package socket_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
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
	x, y := p.sockets(t)
	make := func(mine, theirs *socket.Conn) link.Link {
		require.NoError(t, theirs.Send(context.Background(), []byte("hello"), nil, -1))
		_, ctl, err := mine.Receive(context.Background(), make([]byte, 16))
		require.NoError(t, err)
		c, err := mine.Credentials(&ctl)
		require.NoError(t, err)
		l, err := socket.New(mine, c)
		require.NoError(t, err)
		p.of[l] = mine
		return l
	}
	// Both hellos before either link: a link's receiver would take the other's.
	require.NoError(t, x.Send(context.Background(), []byte("first"), nil, -1))
	_, ctl, err := y.Receive(context.Background(), []byte("     "))
	require.NoError(t, err)
	ctl.Close()
	return make(x, y), make(y, x)
}

func TestConformance(t *testing.T) {
	for name, sockets := range map[string]func(t testing.TB) (x, y *socket.Conn){
		"default": func(t testing.TB) (x, y *socket.Conn) {
			x, y, err := socket.Pair()
			require.NoError(t, err)
			return x, y
		},
		"before Linux 6.16": openPair,
	} {
		p := pairs{sockets, make(map[link.Link]*socket.Conn)}
		t.Run(name, func(t *testing.T) {
			linktest.Run(t, linktest.Carrier{
				Pair: p.pair,
				Kill: func(l link.Link) { _ = p.of[l].Close() },
				Held: 16 << 20,
			})
		})
	}
}
