package ring_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/link/socket"
)

// pairs makes links and remembers their sockets, so that Kill can end one without
// an end marker.
type pairs struct {
	size  int
	o     ring.Options
	socks map[link.Link]*socket.Conn
}

func (p pairs) pair(t testing.TB) (a, b link.Link) {
	t.Helper()
	x, y, err := socket.Pair()
	require.NoError(t, err)
	host, fd, err := ring.Create(p.size)
	require.NoError(t, err)
	client, err := ring.Open(fd, p.size)
	require.NoError(t, errors.Join(err, socket.CloseFD(fd), x.StopCredentials(), y.StopCredentials()))
	a = ring.New(host, ring.Host, x, cred.New(socket.CloseFD), p.o)
	b = ring.New(client, ring.Client, y, cred.New(socket.CloseFD), p.o)
	p.socks[a], p.socks[b] = x, y
	return a, b
}

func (p pairs) carrier() linktest.Carrier {
	return linktest.Carrier{
		Pair:                 p.pair,
		Kill:                 func(l link.Link) { _ = p.socks[l].Close() },
		Held:                 2 * p.size,
		CountsUnacknowledged: true,
	}
}

func TestConformance(t *testing.T) {
	for name, p := range map[string]pairs{
		"default":  {size: 256 << 10},
		"smallest": {size: ring.MinSize},
		"no poll":  {size: 64 << 10, o: ring.Options{PollThreshold: -1}},
	} {
		p.socks = make(map[link.Link]*socket.Conn)
		t.Run(name, func(t *testing.T) { linktest.Run(t, p.carrier()) })
	}
}
