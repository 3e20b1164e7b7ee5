package secure_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// TestFloodOfOneUser: stalled handshakes of one user, more than it has slots, neither
// keep another user out nor disturb connections, and are dropped after
// HandshakeTimeout.
func TestFloodOfOneUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start processes of another user")
	}
	const flooder = 12_345
	w := newWorld(t)
	w.dir = sharedDir(t) + "/endpoints"
	w.echo(t, hostConfig(nil, func(c *secure.Config) {
		c.Transport.Shared = true
		c.Transport.Peer = peer.UIDs(0, flooder)
		c.Transport.HandshakeTimeout = 2 * time.Second
		c.MaxHalfOpen, c.MaxHalfOpenPerUser = 8, 4
	}))
	open := func(c *secure.Config) { c.Transport.Peer = peer.UIDs(0) }
	established, err := secure.Dial(hung(t), endpoint, w.in(clientConfig(nil, open)))
	require.NoError(t, err)
	defer established.Close()

	w.start(t, "staller", flooder)
	for begun := time.Now(); time.Since(begun) < time.Second; {
		w.accepted(t, clientConfig(nil, open))
		require.NoError(t, established.Send(hung(t), []byte("x")))
		_, err := established.Receive(hung(t))
		require.NoError(t, err)
	}
	for range stalled {
		err := await(t, w.failures)
		require.True(t, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, transport.ErrBusy), "%v", err)
	}
}

// TestPolicyComesBeforeHandshake: a client that the peer policy refuses gets that
// answer even if no worker is free to compute a handshake.
func TestPolicyComesBeforeHandshake(t *testing.T) {
	free := secure.TakeWorkers()
	defer free()
	w := newWorld(t)
	h := w.echo(t, hostConfig(nil, func(c *secure.Config) { c.Transport.Peer = peer.Not(peer.SameUser()) }))
	_, err := secure.Dial(hung(t), endpoint, w.in(clientConfig(nil)))
	require.ErrorIs(t, err, transport.ErrRefused)
	var refused *peer.RefusedError
	require.ErrorAs(t, await(t, w.failures), &refused)
	require.NoError(t, h.Close())

	w = newWorld(t)
	w.echo(t, hostConfig(nil))
	_, err = secure.Dial(hung(t), endpoint, w.in(clientConfig(nil, func(c *secure.Config) {
		c.Transport.HandshakeTimeout = 100 * time.Millisecond
	})))
	require.ErrorIs(t, err, context.DeadlineExceeded, "else the first half of this test shows nothing")
}
