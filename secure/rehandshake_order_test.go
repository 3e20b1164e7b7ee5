package secure_test

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/secure/internal/record"
)

// What a rehandshake must not do to the one before it, to messages, and to trust.

// TestOneRehandshakeAtATime: while one is in progress no other begins, on whichever side it
// waits.
func TestOneRehandshakeAtATime(t *testing.T) {
	never := func(c *secure.Config) { c.RehandshakeInterval = -1 } // by itself
	synctest.Test(t, func(t *testing.T) {
		a, b := mem.Pair()
		ta := &tap{Link: a}
		gate := &gated{Link: b, reads: -1, more: make(chan struct{})}
		c, h, err := secure.Pair(t.Context(), ta, gate, clientConfig(nil, never, classical), hostConfig(nil, classical))
		require.NoError(t, err)
		client := side{c, ta, t}
		begun, first := len(ta.records()), c.HandshakeHash()
		again := func(want ...record.Type) {
			for range 3 {
				c.Rehandshake()
				synctest.Wait()
			}
			require.Equal(t, want, client.typesSince(begun))
		}
		gate.allow(0)
		read := make(chan error)
		go func() {
			_, err := h.ReadFrame(t.Context())
			read <- err
		}()
		again(record.Handshake) // the host has not read it
		gate.allow(1)
		synctest.Wait()
		require.NotEqual(t, first, c.HandshakeHash(), "the client is done, but for the host's switch")
		again(record.Handshake, record.Handshake, record.Switch)
		gate.allow(-1)
		synctest.Wait()
		require.True(t, rehandshaken(c, h, first))
		c.Rehandshake()
		synctest.Wait()
		require.Len(t, client.typesSince(begun), 6, "the next one")
		require.NoError(t, c.Close())
		require.Equal(t, io.EOF, <-read)
		require.NoError(t, h.Close())
	})
}

// gated is a link that is read as often as it is told, and then as often as it is asked.
type gated struct {
	link.Link
	mu    sync.Mutex
	reads int // allowed; negative: all
	more  chan struct{}
}

func (g *gated) allow(reads int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads = reads
	close(g.more)
	g.more = make(chan struct{})
}

func (g *gated) ReadFrame(ctx context.Context) ([]byte, error) {
	for {
		g.mu.Lock()
		allowed, more := g.reads != 0, g.more
		if g.reads > 0 {
			g.reads--
		}
		g.mu.Unlock()
		if allowed {
			return g.Link.ReadFrame(ctx)
		}
		<-more
	}
}

// TestFrameBehindARehandshake is received after the next rehandshake has begun, and those
// behind it too.
func TestFrameBehindARehandshake(t *testing.T) {
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	gate := &gated{Link: ta, reads: -1, more: make(chan struct{})}
	c, h, err := secure.Pair(t.Context(), gate, tb, clientConfig(nil), hostConfig(nil))
	require.NoError(t, err)
	client, host := side{c, ta, t}, side{h, tb, t}
	t.Cleanup(func() {
		_ = c.Close()
		_ = h.Close()
	})
	gate.allow(1) // the host's message
	before, first := len(tb.records()), c.HandshakeHash()
	c.Rehandshake()
	ctx, cancel := context.WithCancel(hung(t))
	read := make(chan error)
	go func() {
		_, err := h.ReadFrame(ctx)
		read <- err
	}()
	require.Eventually(t, func() bool { return len(tb.records()) == before+2 }, limit, tick) // and its switch
	cancel()
	require.ErrorIs(t, await(t, read), context.Canceled)
	host.write("one")
	host.write("two")
	gate.allow(-1) // all at once
	require.Eventually(t, c.Stashed, limit, tick)
	require.True(t, rehandshaken(c, h, first))
	second, sent := c.HandshakeHash(), len(tb.records())
	c.Rehandshake()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		settle(t, client, host, second)
	}()
	require.Eventually(t, func() bool { return len(tb.records()) > sent }, limit, tick) // the host has answered
	client.read("one")
	client.read("two")
	await(t, settled)
}

// expecting is a Trust that trusts every key and expects some.
type expecting struct {
	mu       sync.Mutex
	expected []keys.PublicKey
}

func (e *expecting) Verify(context.Context, string, keys.PublicKey) error { return nil }

func (e *expecting) OnRevoke(string, keys.PublicKey, func()) func() { return func() {} }

func (e *expecting) Expected(string) []keys.PublicKey {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.expected
}

func (e *expecting) expect(expected ...keys.PublicKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expected = expected
}

// TestRehandshakeKeepsTheExpectedKey: the key must still be one of those that are expected,
// though Verify would accept any, and need not be the first of them.
func TestRehandshakeKeepsTheExpectedKey(t *testing.T) {
	for name, row := range map[string]struct {
		expected []keys.PublicKey
		err      error
	}{
		"the same":       {[]keys.PublicKey{hostKey.Public()}, nil},
		"another before": {[]keys.PublicKey{otherKey.Public(), hostKey.Public()}, nil},
		"another":        {[]keys.PublicKey{otherKey.Public()}, secure.ErrRevoked},
		"none":           {nil, secure.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			trust := &expecting{expected: []keys.PublicKey{hostKey.Public()}}
			a, b := mem.Pair()
			ta, tb := &tap{Link: a}, &tap{Link: b}
			c, h, err := secure.Pair(t.Context(), ta, tb,
				clientConfig(nil, func(c *secure.Config) { c.Trust = trust }),
				hostConfig(nil, func(c *secure.Config) { c.NextKey, c.Trust = otherKey, keys.Pin(clientKey.Public()) }))
			require.NoError(t, err)
			defer c.Close()
			defer h.Close()
			client, host := side{c, ta, t}, side{h, tb, t}
			trust.expect(row.expected...)
			if row.err == nil {
				rehandshake(t, client, host)
				require.Equal(t, hostKey.Public().String(), c.PeerKey())
				return
			}
			client.Rehandshake()
			read := make(chan error, 1)
			go func() {
				_, err := h.ReadFrame(hung(t))
				read <- err
			}()
			client.fails(row.err, keys.ErrUntrusted)
			require.NoError(t, c.Close())
			require.ErrorIs(t, await(t, read), secure.ErrTruncated, "which is what the host hears of it")
		})
	}
}

// blocking is a Trust that takes its time for one key.
type blocking struct {
	keys.Trust
	slow  keys.PublicKey
	asked chan struct{}
	done  chan struct{}
}

func (b *blocking) Verify(ctx context.Context, endpoint string, key keys.PublicKey) error {
	if key.Equal(b.slow) {
		b.asked <- struct{}{}
		<-b.done
	}
	return b.Trust.Verify(ctx, endpoint, key)
}

// TestSlowTrustDelaysNobodyElse: while it is asked about the keys of clients, as many as
// handshakes may be computed at a time, others get in.
func TestSlowTrustDelaysNobodyElse(t *testing.T) {
	trust := &blocking{keys.Allow(clientKey.Public(), otherKey.Public()), clientKey.Public(), make(chan struct{}), make(chan struct{})}
	connect := func(key keys.PrivateKey) error {
		a, b := mem.Pair()
		c, h, err := secure.Pair(hung(t), a, b, clientConfig(nil, keyed(key)), hostConfig(nil, func(c *secure.Config) { c.Trust = trust }))
		if err == nil {
			_, _ = c.Close(), h.Close()
		}
		return err
	}
	slow := make(chan error)
	clients := runtime.GOMAXPROCS(0) + 1
	for range clients {
		go func() { slow <- connect(clientKey) }()
	}
	for range clients {
		await(t, trust.asked)
	}
	require.NoError(t, connect(otherKey))
	close(trust.done)
	for range clients {
		require.NoError(t, await(t, slow))
	}
}

// unhashable is a Trust that cannot be the key of a map.
type unhashable struct {
	keys.Trust
	_ []int
}

func (unhashable) Watch(context.Context, time.Duration, func(error)) error { return nil }

// TestAnyTrustWillDo, also one by value, whose files nobody then watches.
func TestAnyTrustWillDo(t *testing.T) {
	a, b := mem.Pair()
	c, h, err := secure.Pair(t.Context(), a, b, clientConfig(nil), hostConfig(nil, func(c *secure.Config) {
		c.Trust = unhashable{Trust: keys.Allow(clientKey.Public())}
	}))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, h.Close())
}

// TestHandshakeWithoutAPeer: a side whose peer leaves, or says nothing until the context
// ends, says so.
func TestHandshakeWithoutAPeer(t *testing.T) {
	for _, role := range []handshake.Role{handshake.Initiator, handshake.Responder} {
		cfg := clientConfig(nil)
		if role == handshake.Responder {
			cfg = hostConfig(nil)
		}
		a, b := mem.Pair()
		_, err := secure.HalfPair(over(t), a, cfg, role)
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, b.Close())

		a, b = mem.Pair()
		require.NoError(t, b.Close())
		_, err = secure.HalfPair(hung(t), a, cfg, role)
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, link.ErrPeerGone)
	}
}

// obeying is a Trust whose Verify does nothing but look at its context.
type obeying struct{ expecting }

func (*obeying) Verify(ctx context.Context, _ string, _ keys.PublicKey) error { return ctx.Err() }

// TestRehandshakeHasItsOwnContext: that of the first handshake has ended by then.
func TestRehandshakeHasItsOwnContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	trust := &obeying{}
	c, h, err := secure.Pair(ctx, ta, tb, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = struct{ keys.Trust }{trust} }))
	require.NoError(t, err)
	defer c.Close()
	defer h.Close()
	cancel()
	rehandshake(t, side{c, ta, t}, side{h, tb, t})
}

// TestClosedLinkIsFreed, and does not wait in memory for its timers, or for its Trust.
func TestClosedLinkIsFreed(t *testing.T) {
	client, host := keys.Pin(hostKey.Public()), keys.Allow(clientKey.Public())
	freed := make(chan struct{}, 2)
	func() {
		a, b := mem.Pair()
		c, h, err := secure.Pair(t.Context(), a, b,
			clientConfig(nil, func(c *secure.Config) { c.Trust = client }), hostConfig(nil, func(c *secure.Config) { c.Trust = host }))
		require.NoError(t, err)
		for _, l := range []*secure.Link{c, h} {
			runtime.AddCleanup(l, func(freed chan<- struct{}) { freed <- struct{}{} }, (chan<- struct{})(freed))
			require.NoError(t, l.Close())
		}
	}()
	require.Eventually(t, func() bool { runtime.GC(); return len(freed) == 2 }, limit, tick)
	runtime.KeepAlive(client)
	runtime.KeepAlive(host)
}

// waiting is a Trust that answers when its context ends, from the second time on.
type waiting struct {
	expecting
	asked chan struct{} // capacity 1: the first time
}

func (w *waiting) Verify(ctx context.Context, _ string, _ keys.PublicKey) error {
	select {
	case w.asked <- struct{}{}:
		return nil
	default:
	}
	<-w.asked // which says that this is the second
	<-ctx.Done()
	return ctx.Err()
}

// TestInterruptedRehandshake is this side's end, and not one for which the peer is to blame.
func TestInterruptedRehandshake(t *testing.T) {
	trust := &waiting{asked: make(chan struct{}, 1)}
	a, b := mem.Pair()
	c, h, err := secure.Pair(hung(t), a, b, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = struct{ keys.Trust }{trust} }))
	require.NoError(t, err)
	defer c.Close()
	defer h.Close()
	read := make(chan error, 1)
	go func() {
		_, err := h.ReadFrame(hung(t))
		read <- err
	}()
	c.Rehandshake()
	require.Eventually(t, func() bool { return len(trust.asked) == 0 }, limit, tick)
	h.Interrupt()
	err = await(t, read)
	require.ErrorIs(t, err, link.ErrClosed)
	require.NotErrorIs(t, err, secure.ErrRevoked)
	require.NotErrorIs(t, err, link.ErrProtocol)
}
