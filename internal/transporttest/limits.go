package transporttest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

func testBusy(t *testing.T, e *env) {
	host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config(func(c *transport.Config) { c.MaxConnections = 2 }))
	first, second := client(t, e.Strings, e.config()), client(t, e.Strings, e.config())
	_, err := e.Strings.NewClient(context30(t), e.endpoint, nil, e.config())
	require.ErrorIs(t, err, transport.ErrBusy)
	for _, c := range []*transport.Client[string]{first, second} {
		require.NoError(t, c.Send(context30(t), "undisturbed"))
	}
}

// A slot that a client has left is soon free again.
func testBusyFree(t *testing.T, e *env) {
	host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config(func(c *transport.Config) { c.MaxConnections = 1 }))
	for range 20 {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			c, err := e.Strings.NewClient(context.Background(), e.endpoint, nil, e.config())
			if assert.NoError(t, err) {
				assert.NoError(t, c.Close())
			}
		}, limit, tick)
	}
}

func testLimits(t *testing.T, e *env) {
	a, b := connsOf(t, e, e.config(func(c *transport.Config) { c.MaxMessageSize = 100 }),
		e.config(func(c *transport.Config) { c.MaxMessageSize = 200 }))
	for _, c := range []*transport.Conn{a, b} {
		assert.Equal(t, 100, c.MaxMessageSize())
		require.ErrorIs(t, c.Send(context30(t), make([]byte, 101)), transport.ErrMessageTooLarge)
		require.NoError(t, c.Send(context30(t), make([]byte, 100)))
	}
	e = newEnv(t, e.Layer, e.variant)
	one := e.config(func(c *transport.Config) { c.MaxMessageSize = 1 })
	a, b = connsOf(t, e, one, one) // the smallest there is
	require.NoError(t, a.Send(context30(t), []byte("x")))
	p, err := b.Receive(context30(t))
	require.NoError(t, err)
	assert.Equal(t, "x", string(p))
}

// Either side may ask for attestation, and a message gets through.
func testEitherAttests(t *testing.T, e *env) {
	attested := e.config(func(c *transport.Config) { c.Attested = true })
	plain := e.config(func(c *transport.Config) { c.Attested = false })
	for _, pair := range [][2]*transport.Config{{attested, plain}, {plain, attested}, {attested, attested}} {
		e := newEnv(t, e.Layer, e.variant)
		pair[0].Dir, pair[1].Dir = e.dir, e.dir
		before := leaktest.Mappings()
		a, b := connsOf(t, e, pair[0], pair[1])
		require.NoError(t, a.Send(context30(t), pattern(200_000)[:100_000]))
		require.NoError(t, a.Flush(context30(t)))
		_, err := b.Receive(context30(t))
		require.NoError(t, err)
		assert.Empty(t, leaktest.More(before, leaktest.Mappings()), "an attested connection shares no messages")
	}
}

// bufferTests are not for attested connections, which have no buffer to set.
var bufferTests = []test{{"BufferSizes", testBufferSizes}}

func testBufferSizes(t *testing.T, e *env) {
	for _, size := range []int{transport.MinBufferSize, 64 << 10, 1 << 20, transport.MaxBufferSize} {
		e := newEnv(t, e.Layer, e.variant)
		a, b := connsOf(t, e, e.config(func(c *transport.Config) { c.BufferSize = size }), e.config())
		p := pattern(min(size+12345, 2<<20))
		ctx := context30(t)
		join := meanwhile(func() { assert.NoError(t, a.Send(ctx, p)) })
		got, err := b.Receive(ctx)
		require.NoError(t, err)
		require.True(t, string(got) == string(p))
		join()
	}
}

// testThroughput waits for the log's record of a second.
func testThroughput(t *testing.T, e *env) {
	log, begin := logBook{arrived: make(chan slog.Record, 100)}, time.Now()
	host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config(func(c *transport.Config) {
		c.LogThroughput, c.Logger = true, slog.New(&log)
	}))
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	const size = 100_000
	require.NoError(t, c.Send(ctx, string(make([]byte, size))))
	for {
		r := await(t, log.arrived)
		if r.Message != "throughput" {
			continue
		}
		got := map[string]slog.Value{}
		r.Attrs(func(a slog.Attr) bool { got[a.Key] = a.Value; return true })
		assert.Equal(t, e.endpoint, got["endpoint"].String())
		assert.EqualValues(t, 1, got["connections"].Int64())
		// One message in about a second: rounded down, 0 or 1. A busy machine's
		// second is longer, at most as long as this took.
		assert.LessOrEqual(t, got["messages_per_second"].Uint64(), uint64(1))
		assert.LessOrEqual(t, got["bytes_per_second"].Uint64(), uint64(2*size))
		assert.GreaterOrEqual(t, float64(got["bytes_per_second"].Uint64()+1), size/time.Since(begin).Seconds())
		return
	}
}

// A client that refuses the host returns its own error, also before the host's
// application has called Accept.
func testClientDropsRefusedHost(t *testing.T, e *env) {
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	defer l.Close()
	_, err = e.Dial(context30(t), e.endpoint, e.config(func(c *transport.Config) { c.Peer = notThisUser() }))
	require.ErrorIs(t, err, peer.ErrRefused)
}

// A host that ends its direction, and reads nothing either, must not hang a client
// that sends and receives at the same time.
func testHalfHost(t *testing.T, e *env) {
	ctx := context30(t)
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	defer l.Close()
	c, err := e.Bytes.NewClient(ctx, e.endpoint, nil, e.config())
	require.NoError(t, err)
	server, err := l.Accept(ctx)
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, l.Close())

	sent, begun := make(chan error), make(chan struct{})
	large := make([]byte, beyondBuffers)
	go func() {
		close(begun)
		sent <- c.Send(ctx, large)
	}()
	<-begun
	fill(t, c)
	require.NoError(t, server.CloseWrite(ctx))
	_, err = c.Receive(ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)
	err = await(t, sent)
	require.ErrorIs(t, err, transport.ErrDisconnected)
	assert.NotErrorIs(t, err, transport.ErrClosed, "it was not this side")
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	_ = await(t, closed)
}
