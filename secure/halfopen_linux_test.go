package secure_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// TestHalfOpenSlots: each user has slots of its own, and waiting for one ends with the
// context.
func TestHalfOpenSlots(t *testing.T) {
	h := secure.NewHalfOpen(3, 2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var leave []func()
	enter := func(uid uint32, ok bool) {
		t.Helper()
		ctx := over
		if ok {
			ctx = hung(t)
		}
		free, err := h.Enter(ctx, uid)
		if !ok {
			require.ErrorIs(t, err, context.Canceled)
			return
		}
		require.NoError(t, err)
		leave = append(leave, free)
	}
	enter(1, true)
	enter(1, true)
	enter(1, false) // has two
	enter(2, true)
	enter(2, false) // three in all
	enter(3, false)
	waited := make(chan func())
	go func() {
		free, err := h.Enter(hung(t), 3)
		assert.NoError(t, err)
		waited <- free
	}()
	leave[0]()
	leave[0] = await(t, waited)
	for _, free := range leave {
		free()
	}
	assert.Zero(t, h.Users(), "slots of users without handshakes are kept")
}

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
