//go:build linux

package secure_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// nodeHost starts Node as a host.
func nodeHost(t *testing.T, v nodeVariant, bridge ...string) *nodeTest {
	t.Helper()
	if v.attested {
		bridge = append(bridge, "-attested")
	}
	n := startNode(t, v, func(s *nodeSetup) { s.Host = true }, bridge...)
	n.do("listen", nil)
	return n
}

// dial connects a secure client to Node.
func (n *nodeTest) dial(change func(*secure.Config)) *transport.Client[[]byte] {
	n.Helper()
	c, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(change))
	require.NoError(n, err)
	n.Cleanup(func() {
		if err := c.Close(); err != nil {
			require.ErrorIs(n, err, transport.ErrDisconnected)
		}
	})
	return c
}

// TestNodeIsHost: an independent implementation answers a secure client.
func TestNodeIsHost(t *testing.T) {
	for _, v := range nodeVariants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n := nodeHost(t, v)
			c := n.dial(func(c *secure.Config) {
				c.RekeyInterval = time.Millisecond
				c.RehandshakeInterval = time.Second
			})
			a := n.do("connect", nil)
			require.Equal(t, hex.EncodeToString(nodeGoKey.Public().Bytes()), a.PeerKey)
			require.True(t, c.PeerKey().Equal(nodeKey.Public()))
			require.NotEqual(t, os.Getpid(), int(c.Peer().Token().PID()))

			// One after the other, then many at once.
			for i, size := range nodeSizes {
				n.tell(map[string]any{"do": "echo", "count": 1})
				n.exchange(c, []int{size}, i)
			}
			many := make([]int, 300)
			for i := range many {
				many[i] = nodeSizes[i%(len(nodeSizes)-1)]/2 + i
			}
			n.tell(map[string]any{"do": "echo", "count": len(many)})
			n.exchange(c, many, 0)

			// Node's own changes of keys.
			n.do("rekey", nil)
			n.do("leaveout", nil)
			n.do("send", map[string]any{"size": 77, "seed": 7})
			got, err := c.Receive(n.ctx)
			require.NoError(t, err)
			require.Equal(t, content(77, 7), got)

			// The client's, while it talks.
			for stats := n.do("stats", nil); stats.Rehandshakes < 2 || stats.Records[recordRekey] < 10; stats = n.do("stats", nil) {
				require.NoError(t, n.ctx.Err())
				n.tell(map[string]any{"do": "echo", "count": 1})
				n.exchange(c, []int{100}, stats.Rehandshakes)
			}

			require.NoError(t, c.Close())
			require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
			n.do("close", nil)
			n.do("leave", nil)
		})
	}
}

// exchange sends messages to Node, which echoes them, and compares.
func (n *nodeTest) exchange(c *transport.Client[[]byte], sizes []int, seed int) {
	n.Helper()
	sent := make(chan error, 1)
	go func() {
		for i, size := range sizes {
			if err := c.Send(n.ctx, content(size, seed+i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.Flush(n.ctx)
	}()
	for i, size := range sizes {
		got, err := c.Receive(n.ctx)
		require.NoError(n, err)
		require.True(n, bytes.Equal(content(size, seed+i), got), "message %d of %d bytes", i, size)
	}
	require.NoError(n, <-sent)
	require.Empty(n, n.answer().Error)
}

// TestNodeIsHostAndEnds: a client sees Node's goodbye, and what is none.
func TestNodeIsHostAndEnds(t *testing.T) {
	for command, want := range map[string]error{"close": io.EOF, "cut": secure.ErrTruncated} {
		t.Run(command, func(t *testing.T) {
			n := nodeHost(t, nodeVariants[0])
			c := n.dial(nil)
			n.do("connect", nil)
			n.do("send", map[string]any{"size": 5, "seed": 1})
			n.do(command, nil)
			got, err := c.Receive(n.ctx)
			require.NoError(t, err)
			require.Equal(t, content(5, 1), got)
			_, err = c.Receive(n.ctx)
			require.ErrorIs(t, err, transport.ErrDisconnected)
			require.ErrorIs(t, err, want)
			require.Equal(t, command == "cut", errors.Is(err, transport.ErrProtocol))
		})
	}
}

// TestNodeIsHostAndTampered: as TestNodeAndTamperedRecords, from the client's side.
func TestNodeIsHostAndTampered(t *testing.T) {
	// Of Node's frames one is the handshake's, and one says that it accepts.
	n := nodeHost(t, nodeVariants[0], "-flip-out", "4")
	c := n.dial(nil)
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 5, "seed": 1})
	n.do("send", map[string]any{"size": 5, "seed": 2})
	got, err := c.Receive(n.ctx)
	require.NoError(t, err)
	require.Equal(t, content(5, 1), got)
	_, err = c.Receive(n.ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)
	require.ErrorIs(t, err, secure.ErrRecord)
}

// TestNodeIsHostAndRefuses: the client finds out which side has refused.
func TestNodeIsHostAndRefuses(t *testing.T) {
	other := hex.EncodeToString(keys.Generate().Public().Bytes())
	t.Run("plain", func(t *testing.T) {
		n := nodeHost(t, nodeVariants[0])
		plain := n.transport()
		_, err := transport.Dial(n.ctx, nodeEndpoint, &plain)
		require.ErrorIs(t, err, transport.ErrMode)
	})
	t.Run("by us", func(t *testing.T) {
		n := nodeHost(t, nodeVariants[0])
		_, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(func(c *secure.Config) { c.Trust = keys.Pin(keys.Generate().Public()) }))
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, keys.ErrUntrusted)
		require.Equal(t, "truncated", n.try("connect", nil).Error)
	})
	t.Run("by Node", func(t *testing.T) {
		n := startNode(t, nodeVariants[0], func(s *nodeSetup) { s.Host, s.Trusted = true, other })
		n.do("listen", nil)
		_, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(nil))
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, transport.ErrPeerGone)
		require.Contains(t, n.try("connect", nil).Error, "not trusted")
	})
	t.Run("by Node's acceptance", func(t *testing.T) {
		n := nodeHost(t, nodeVariants[0], "-flip-out", "2")
		_, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(nil))
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, secure.ErrRecord)
	})
}
