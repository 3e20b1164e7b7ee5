package secure_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// stallSlots is how many handshakes a user may have in progress in TestStalledHandshakes,
// and how many connections there may be.
const stallSlots = 4

// TestStalledHandshakes: a process without a key that stalls handshakes, more of them than
// its user has slots and than the host serves clients, neither keeps others out nor
// disturbs connections, whether it is another user's or the same user's.
func TestStalledHandshakes(t *testing.T) {
	const another = 12_345
	for name, flooder := range map[string]uint32{"of another user": another, "of the same user": 0} {
		t.Run(name, func(t *testing.T) {
			if flooder != 0 && os.Getuid() != 0 {
				t.Skip("needs root, to start processes of another user")
			}
			w := newWorld(t)
			w.dir = sharedDir(t) + "/endpoints"
			var reports atomic.Int64
			h, err := secure.NewSecureHost(endpoint, echoMessage, w.in(hostConfig(nil, func(c *secure.Config) {
				c.Transport.Shared = true
				c.Transport.Peer = peer.AnyOf(peer.SameUser(), peer.UIDs(another))
				c.Transport.MaxConnections = stallSlots
				c.Transport.HandshakeTimeout = 2 * time.Second
				c.Transport.OnError = func(error) { reports.Add(1) }
				c.MaxHalfOpen, c.MaxHalfOpenPerUser = 2*stallSlots, stallSlots
			})))
			require.NoError(t, err)
			defer h.Close()
			patient := func() *secure.Config {
				return w.in(clientConfig(&transport.Config{HandshakeTimeout: limit}))
			}
			established, err := secure.Dial(hung(t), endpoint, patient())
			require.NoError(t, err)
			defer established.Close()

			begun := time.Now()
			w.start(t, "staller", flooder)
			var took []time.Duration
			for range 5 {
				dialled := time.Now()
				c, err := secure.Dial(hung(t), endpoint, patient())
				require.NoError(t, err)
				took = append(took, time.Since(dialled).Round(time.Millisecond))
				require.NoError(t, c.Close())
				require.NoError(t, established.Send(hung(t), []byte("x")))
				_, err = established.Receive(hung(t))
				require.NoError(t, err)
			}
			t.Logf("clients got in after %v", took)
			assert.LessOrEqual(t, reports.Load(), 8+int64(time.Since(begun)/(10*time.Second)))
		})
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
