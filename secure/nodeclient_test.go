//go:build linux

package secure_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// echoHost is a secure host that sends every message back.
func (n *nodeTest) echoHost(change func(*secure.Config)) *transport.Host[[]byte] {
	n.Helper()
	c := n.config(change)
	c.Transport.OnError = func(err error) { n.errs <- err }
	h, err := secure.NewSecureHost(nodeEndpoint, func(_ context.Context, m transport.Message[[]byte]) {
		if !m.Session.PeerKey().Equal(nodeKey.Public()) {
			n.errs <- errors.New("not Node's key")
		}
		// The connection may end meanwhile; then there is an error elsewhere.
		_ = m.Reply(n.ctx, m.Body)
	}, c)
	require.NoError(n, err)
	n.Cleanup(func() { require.NoError(n, h.Close()) })
	return h
}

// nodeClient starts a host and Node as its client.
func nodeClient(t *testing.T, v nodeVariant, change func(*secure.Config), bridge ...string) (*nodeTest, *transport.Host[[]byte]) {
	t.Helper()
	// The host has to be there when Node begins.
	early := &nodeTest{T: t, nodeVariant: v, dir: filepath.Join(t.TempDir(), "endpoints"), errs: make(chan error, 16), ctx: t.Context()}
	needNode(t)
	h := early.echoHost(change)
	n := startNode(t, v, func(s *nodeSetup) { s.Dir = early.dir }, bridge...)
	n.dir, n.errs = early.dir, early.errs
	return n, h
}

// TestNodeIsClient: an independent implementation talks to a secure host.
func TestNodeIsClient(t *testing.T) {
	for _, v := range nodeVariants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n, h := nodeClient(t, v, func(c *secure.Config) { c.RekeyInterval = time.Millisecond })
			a := n.do("connect", nil)
			require.Equal(t, hex.EncodeToString(nodeGoKey.Public().Bytes()), a.PeerKey)
			n.talk()

			stats := n.do("stats", nil)
			require.Equal(t, 3, stats.Rehandshakes)
			require.Equal(t, 3, stats.Records[recordSwitch])
			require.Positive(t, stats.Records[recordRekey], "the host has changed its key")

			// Either side may end first.
			n.do("close", nil)
			require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
			require.Eventually(t, func() bool { return h.Stats().Connections == 0 }, nodeLimit, time.Millisecond)
			n.none()
			require.NoError(t, h.Close())
		})
	}
}

// talk has Node send messages of all kinds to a host that echoes them, with
// changes of keys in between.
func (n *nodeTest) talk() {
	seed := 0
	send := func(sizes ...int) {
		n.Helper()
		for i, size := range sizes {
			n.do("send", map[string]any{"size": size, "seed": seed + i})
		}
	}
	receive := func(sizes ...int) {
		n.Helper()
		for _, size := range sizes {
			n.requireMessage(n.do("receive", nil), content(size, seed))
			seed++
		}
	}
	for round := range 3 {
		// One after the other, then many at once.
		for _, size := range nodeSizes {
			send(size)
			receive(size)
		}
		send(nodeSizes...)
		receive(nodeSizes...)
		n.do("together", map[string]any{"sizes": []int{5, 0, 77}, "seed": seed})
		for _, size := range []int{5, 0, 77} {
			n.requireMessage(n.do("receive", nil), content(size, seed))
		}
		n.do("rekey", nil)
		send(10, 11)
		n.do("rekey", nil)
		n.do("rekey", nil)
		receive(10, 11)
		for range round {
			n.do("leaveout", nil)
		}
		send(12)
		receive(12)
		// Messages are under way while the keys are replaced.
		many := make([]int, 50)
		for i := range many {
			many[i] = i
		}
		send(many...)
		n.do("rehandshake", nil)
		receive(many...)
		send(13)
		receive(13)
	}
}

// TestNodeIsClientAndHostEnds: a host that shuts down says goodbye.
func TestNodeIsClientAndHostEnds(t *testing.T) {
	n, h := nodeClient(t, nodeVariants[0], nil)
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 3, "seed": 0})
	n.requireMessage(n.do("receive", nil), content(3, 0))
	require.NoError(t, h.Close()) // Node does not follow what Shutdown asks for
	require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
	n.do("leave", nil)
	n.none()
}

// TestNodeIsClientAndBreaksOff: an end that is not sealed is not a clean end.
func TestNodeIsClientAndBreaksOff(t *testing.T) {
	for _, command := range []string{"cut", "leave"} {
		t.Run(command, func(t *testing.T) {
			n, _ := nodeClient(t, nodeVariants[0], nil)
			n.do("connect", nil)
			n.do("send", map[string]any{"size": 3, "seed": 0})
			n.do("receive", nil)
			n.do(command, nil)
			require.ErrorIs(t, n.failure(), secure.ErrTruncated)
		})
	}
}

// revocable trusts Node until it is told not to.
type revocable struct {
	keys.Trust
	revoked chan func()
}

func (r revocable) OnRevoke(_ string, _ keys.PublicKey, revoked func()) func() {
	r.revoked <- revoked
	return func() {}
}

// TestNodeIsClientAndRevoked: Node takes a connection that a host breaks off for
// truncated.
func TestNodeIsClientAndRevoked(t *testing.T) {
	trust := revocable{keys.Pin(nodeKey.Public()), make(chan func(), 1)}
	n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Trust = trust })
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 3, "seed": 0})
	n.do("receive", nil)
	(<-trust.revoked)()
	require.Equal(t, "truncated", n.do("end", nil).End)
	require.ErrorIs(t, n.failure(), secure.ErrRevoked)
}

// TestNodeAndTamperedRecords: both sides refuse a record in which a bit was
// changed on the way.
func TestNodeAndTamperedRecords(t *testing.T) {
	t.Run("to Go", func(t *testing.T) {
		// Of Node's frames two are the handshake's.
		n, _ := nodeClient(t, nodeVariants[0], nil, "-flip-out", "4")
		n.do("connect", nil)
		n.do("send", map[string]any{"size": 3, "seed": 0})
		n.requireMessage(n.do("receive", nil), content(3, 0))
		n.none()
		n.do("send", map[string]any{"size": 3, "seed": 1})
		require.ErrorIs(t, n.failure(), secure.ErrRecord)
		n.do("end", nil)
	})
	t.Run("to Node", func(t *testing.T) {
		// Of the host's frames one is the handshake's, and one says that it accepts.
		n, _ := nodeClient(t, nodeVariants[0], nil, "-flip-in", "4")
		n.do("connect", nil)
		n.do("send", map[string]any{"size": 3, "seed": 0})
		n.requireMessage(n.do("receive", nil), content(3, 0))
		n.do("send", map[string]any{"size": 3, "seed": 1})
		require.Equal(t, nodeAnswer{End: "record does not authenticate"}, n.do("end", nil))
		require.ErrorIs(t, n.failure(), secure.ErrTruncated, "Node is gone without a word")
	})
	t.Run("handshake", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[1], nil, "-flip-out", "2")
		// Node has sent its last message, but is not accepted.
		require.Equal(t, "truncated", n.try("connect", nil).Error)
		require.ErrorIs(t, n.failure(), handshake.ErrAuthentication)
	})
	t.Run("acceptance", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[0], nil, "-flip-in", "2")
		require.Equal(t, "record does not authenticate", n.try("connect", nil).Error)
		require.ErrorIs(t, n.failure(), secure.ErrTruncated, "Node is gone without a word")
	})
}

// TestNodeIsRefused: for its key, and for another handshake than the host's.
func TestNodeIsRefused(t *testing.T) {
	t.Run("key", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Trust = keys.Allow(keys.Generate().Public()) })
		require.Equal(t, "truncated", n.try("connect", nil).Error)
		err := n.failure()
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, keys.ErrUntrusted)
	})
	t.Run("offer", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Classical = false })
		require.Equal(t, "truncated", n.try("connect", nil).Error)
		require.ErrorIs(t, n.failure(), handshake.ErrOffer)
	})
}

// TestNodeRehandshakesTooOften: a host bounds what a client makes it compute.
func TestNodeRehandshakesTooOften(t *testing.T) {
	n, _ := nodeClient(t, nodeVariants[0], nil)
	n.do("connect", nil)
	begin := time.Now()
	count := 0
	for n.try("rehandshake", nil).Error == "" {
		count++
		require.Less(t, count, 200)
	}
	require.GreaterOrEqual(t, count, 8)
	require.LessOrEqual(t, count, 9+int(time.Since(begin)/time.Second))
	err := n.failure()
	require.ErrorIs(t, err, secure.ErrHandshake)
	require.ErrorIs(t, err, transport.ErrProtocol)
}

// TestNodeIsRefusedByPolicy: the peer that a host judges is the bridge, which said
// hello.
func TestNodeIsRefusedByPolicy(t *testing.T) {
	n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Transport.Peer = peer.UIDs(uint32(os.Getuid()) + 1) })
	require.True(t, strings.HasPrefix(n.try("connect", nil).Error, "refused with status 1"))
	var refused *peer.RefusedError
	require.ErrorAs(t, n.failure(), &refused)
}
