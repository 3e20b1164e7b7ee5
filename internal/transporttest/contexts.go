package transporttest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// contextTests are about the contexts of handlers and of Send, and about slow
// handlers.
var contextTests = []test{
	{"HandlerContextEnds", testHandlerContext},
	{"ShutdownObeysContext", testShutdownContext},
	{"ShutdownInHandler", testShutdownInHandler},
	{"PipelinedSends", testPipelined},
	{"SlowHandler", testSlowHandler},
}

// longTests take seconds.
var longTests = []test{
	{"CloseGivesUpHandler", testCloseGivesUp},
	{"CloseOfAStuckConnection", testStuckClose},
}

func init() { parts["talker"] = talker }

// serve is host for a whole service.
func serve[T any](t *testing.T, of Typed[T], s transport.Service[T], cfg *transport.Config) *transport.Host[T] {
	t.Helper()
	h, err := of.NewHost(of.endpoint, s, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.Close()) })
	return h
}

// connected waits until a host has so many sessions.
func connected(t *testing.T, h Host, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return h.Stats().Connections == n }, limit, tick)
}

// The context of a handler that runs ends with the session, whichever side ends it.
func testHandlerContext(t *testing.T, e *env) {
	for name, end := range map[string]func(h Host, c *transport.Client[string], s *transport.Session[string]) error{
		"client closes":  func(_ Host, c *transport.Client[string], _ *transport.Session[string]) error { return c.Close() },
		"session closed": func(_ Host, _ *transport.Client[string], s *transport.Session[string]) error { return s.Close("over") },
		"host closes":    func(h Host, _ *transport.Client[string], _ *transport.Session[string]) error { return h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			entered, ended := make(chan *transport.Session[string], 1), make(chan error, 1)
			h := host(t, e.Strings, func(ctx context.Context, m transport.Message[string]) {
				entered <- m.Session
				<-ctx.Done()
				ended <- ctx.Err()
			}, e.config())
			c := client(t, e.Strings, e.config())
			require.NoError(t, c.Send(context30(t), "in progress"))
			s := await(t, entered)
			require.NoError(t, s.Context().Err())
			require.NoError(t, end(h, c, s))
			assert.ErrorIs(t, await(t, ended), context.Canceled)
			assert.ErrorIs(t, s.Context().Err(), context.Canceled)
		})
	}
}

// Shutdown waits for a handler until its own context ends, and returns then although
// the handler goes on.
func testShutdownContext(t *testing.T, e *env) {
	entered, free := make(chan context.Context, 1), make(chan struct{})
	h := serve(t, e.Strings, service(func(ctx context.Context, _ transport.Message[string]) {
		entered <- ctx
		<-free
	}), e.config())
	defer close(free)
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "in progress"))
	handler := await(t, entered)
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(short) }()
	for h.Publish(ctx, "is it under way?", transport.DropOldest) == nil {
		require.NoError(t, ctx.Err())
	}
	require.NoError(t, handler.Err(), "Shutdown's context has not ended")
	cancel()
	assert.ErrorIs(t, await(t, ended), context.Canceled)
	await(t, handler.Done())
}

// A handler that ends its own host does not wait for itself.
func testShutdownInHandler(t *testing.T, e *env) {
	hosts, ended := make(chan Host, 1), make(chan error, 1)
	h := host(t, e.Strings, func(ctx context.Context, _ transport.Message[string]) {
		short, cancel := context.WithCancel(ctx)
		cancel()
		ended <- (<-hosts).Shutdown(short)
	}, e.config())
	hosts <- h
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "end"))
	assert.ErrorIs(t, await(t, ended), context.Canceled)
}

// Close waits for handlers, one of which may have called it, for 5 seconds.
func testCloseGivesUp(t *testing.T, e *env) {
	hosts, ended, free := make(chan Host, 1), make(chan error, 1), make(chan struct{})
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {
		ended <- (<-hosts).Close()
		<-free
	}, e.config())
	hosts <- h
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "end"))
	assert.ErrorIs(t, await(t, ended), transport.ErrHandlerRunning)
	close(free)
	assert.NoError(t, h.Close(), "no handler runs any more")
}

// Sends whose replies are not read yet succeed as long as there is room; then they
// block until their context ends. Nothing is lost.
func testPipelined(t *testing.T, e *env) {
	host(t, e.Bytes, func(ctx context.Context, m transport.Message[[]byte]) {
		p := m.Body
		if len(p) == 0 { // a reply for which there is no room: the host receives no more
			p = make([]byte, e.large())
		}
		assert.NoError(t, m.Reply(ctx, p))
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	const small = 1000
	for i := range small {
		require.NoError(t, c.Send(ctx, []byte{byte(i), byte(i >> 8)}))
	}
	require.NoError(t, c.Send(ctx, nil))
	sendCancelled(t, c, e.large())
	join := meanwhile(func() { assert.NoError(t, c.Flush(ctx)) })
	for i := range small {
		p, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i), byte(i >> 8)}, p)
	}
	p, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Len(t, p, e.large())
	join()
	assert.EqualValues(t, small+1, c.Stats().SentMessages)
}

// A slow handler does not delay a Send for which there is room. A Send for which
// there is none returns when its context ends.
func testSlowHandler(t *testing.T, e *env) {
	const n = 100
	entered, free := make(chan struct{}, 1), make(chan struct{})
	got := make(chan int, n+1)
	host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		select {
		case entered <- struct{}{}:
			<-free
		default:
		}
		got <- len(m.Body)
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	defer close(free)
	require.NoError(t, c.Send(ctx, nil))
	require.Eventually(t, func() bool { return len(entered) == 1 }, limit, tick)
	for i := range n {
		require.NoError(t, c.Send(ctx, make([]byte, i+1)))
	}
	sendCancelled(t, c, e.large())
	require.Empty(t, got, "the handler has not gone on")
	free <- struct{}{}
	join := meanwhile(func() { assert.NoError(t, c.Flush(ctx)) })
	for i := range n + 1 {
		require.Equal(t, i, await(t, got))
	}
	join()
}

// talker sends a message and waits to be killed.
func talker(e *env, _ string) {
	c, err := e.Strings.NewClient(context.Background(), e.endpoint, nil, e.config())
	must(err)
	must(c.Send(context.Background(), "hello"))
	must(c.Flush(context.Background()))
	say("sent")
	hear()
}

// The handler of a client that is killed learns it by its context, and
// OnDisconnect by the error.
func testKilledClient(t *testing.T, e *env) {
	entered, over := make(chan context.Context, 1), make(chan error, 1)
	serve(t, e.Strings, transport.Service[string]{
		Handle: func(ctx context.Context, m transport.Message[string]) {
			entered <- ctx
			<-ctx.Done()
		},
		OnDisconnect: func(_ *transport.Session[string], err error) { over <- err },
	}, e.config())
	p := e.start(t, "talker", "")
	p.expect(t, "sent")
	handler := await(t, entered)
	require.NoError(t, handler.Err())
	p.kill(t)
	await(t, handler.Done())
	assert.ErrorIs(t, await(t, over), transport.ErrPeerGone)
}
