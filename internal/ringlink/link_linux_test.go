package ringlink_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/ringlink"
	"github.com/sealport/sealport/internal/shmring"
	"github.com/sealport/sealport/internal/unixsock"
)

// pairs makes links and remembers their sockets, so that Kill can end one without
// a word.
type pairs struct {
	size  int
	o     ringlink.Options
	socks map[link.Link]*unixsock.Conn
}

func (p pairs) pair(t testing.TB) (a, b link.Link) {
	t.Helper()
	x, y, err := unixsock.Pair()
	require.NoError(t, err)
	host, fd, err := shmring.Create(p.size)
	require.NoError(t, err)
	client, err := shmring.Open(fd, p.size)
	require.NoError(t, errors.Join(err, unixsock.CloseFD(fd), x.StopCredentials(), y.StopCredentials()))
	a = ringlink.New(host, shmring.Host, x, cred.New(unixsock.CloseFD), p.o)
	b = ringlink.New(client, shmring.Client, y, cred.New(unixsock.CloseFD), p.o)
	p.socks[a], p.socks[b] = x, y
	return a, b
}

func (p pairs) carrier() linktest.Carrier {
	return linktest.Carrier{
		Pair:         p.pair,
		Kill:         func(l link.Link) { _ = p.socks[l].Close() },
		Held:         2 * p.size,
		CountsUnread: true,
	}
}

func TestConformance(t *testing.T) {
	for name, p := range map[string]pairs{
		"default":  {size: 256 << 10},
		"smallest": {size: shmring.MinSize},
		"no poll":  {size: 64 << 10, o: ringlink.Options{PollThreshold: -1}},
	} {
		p.socks = make(map[link.Link]*unixsock.Conn)
		t.Run(name, func(t *testing.T) { linktest.Run(t, p.carrier()) })
	}
}
