package transporttest

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// Shutdown handles what clients have sent so far, and nothing is lost.
func testShutdownDrains(t *testing.T, e *env) {
	for round := range 20 {
		e := newEnv(t, e.Layer, e.variant)
		const n = 500
		var handled int
		first, free := make(chan struct{}), make(chan struct{})
		h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) {
			if handled++; handled == 1 {
				close(first)
				<-free
			}
		}, e.config())
		c, ctx := client(t, e.Strings, e.config()), context30(t)
		sent := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < n && err == nil; i++ {
				err = c.Send(ctx, fmt.Sprint(i))
			}
			if err == nil {
				err = c.Flush(ctx)
			}
			sent <- err
		}()
		<-first
		require.NoError(t, await(t, sent))
		close(free)
		require.NoError(t, h.Shutdown(ctx))
		require.Equal(t, n, handled, "round %d", round)
		require.NoError(t, c.Close(), "nothing was lost, so there is nothing to report")
	}
}

// A client that the host has accepted just before Shutdown counts as well as any.
func testShutdownNew(t *testing.T, e *env) {
	e = newEnv(t, e.Layer, e.variant)
	for round := range e.repeat(200) {
		ctx := context30(t)
		handled := 0
		h, err := e.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) { handled++ }), e.config())
		require.NoError(t, err)
		c, err := e.Strings.NewClient(ctx, e.endpoint, nil, e.config())
		require.NoError(t, err)
		require.NoError(t, c.Send(ctx, "just in time"))
		require.NoError(t, c.Flush(ctx))
		require.NoError(t, h.Shutdown(ctx))
		require.NoError(t, c.Close())
		require.Equal(t, 1, handled, "round %d", round)
	}
}

// A context that has ended leaves no time to drain, and the endpoint is given up all
// the same: the next host can serve it at once.
func testShutdownReleases(t *testing.T, e *env) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	free := make(chan struct{})
	defer close(free)
	for range 10 {
		entered := make(chan struct{})
		h := host(t, e.Strings, func(context.Context, transport.Message[string]) {
			close(entered)
			<-free
		}, e.config())
		c := client(t, e.Strings, e.config())
		require.NoError(t, c.Send(context30(t), "in work"))
		await(t, entered)
		require.NoError(t, c.Close())
		require.ErrorIs(t, h.Shutdown(ended), context.Canceled)
	}
}

// What clients have sent and no handler has seen is lost at Close, and they are
// told how much.
func testCloseTells(t *testing.T, e *env) {
	entered, free := make(chan struct{}), make(chan struct{})
	first := true
	h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) {
		if first {
			first = false
			close(entered)
			<-free
		}
	}, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "in progress"))
	<-entered
	// More than the host takes into its own memory at a time.
	const n = 40
	for range n {
		require.NoError(t, c.Send(ctx, string(make([]byte, 1000))))
	}
	require.NoError(t, c.Flush(ctx))
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick, "the client does not notice")
	close(free)
	require.NoError(t, await(t, closed))

	err := c.Send(ctx, "next")
	require.ErrorIs(t, err, transport.ErrDisconnected)
	var lost *transport.DisconnectedError
	require.ErrorAs(t, err, &lost)
	assert.True(t, lost.NotSent)
	assert.Equal(t, e.endpoint, lost.Endpoint)
	if !e.coalesces() { // there the kernel only says "some", or a frame has several
		assert.GreaterOrEqual(t, lost.Unconfirmed, uint64(n/2))
	}
	assert.LessOrEqual(t, lost.Unconfirmed, uint64(n+1))
	assert.NotZero(t, lost.Unconfirmed)
	require.NoError(t, c.Close(), "a loss is reported once")
}

// A client that closes the moment after its host has gone, and has not noticed,
// reports the loss too.
func testCloseReports(t *testing.T, e *env) {
	for range 30 {
		l, err := e.Listen(e.endpoint, e.config())
		require.NoError(t, err)
		c, ctx := client(t, e.Bytes, e.config()), context30(t)
		server, err := l.Accept(ctx)
		require.NoError(t, err)
		require.NoError(t, c.Send(ctx, []byte("one")))
		require.NoError(t, c.Send(ctx, []byte("two")))
		require.NoError(t, server.Close())
		require.ErrorIs(t, c.Close(), transport.ErrDisconnected)
		require.NoError(t, l.Close())
	}
}

// A client whose host ends finds the next one, and says when it has none.
func testNextHost(t *testing.T, e *env) {
	got := make(chan string, 4)
	handler := func(_ context.Context, m transport.Message[string]) { got <- m.Body }
	h := host(t, e.Strings, handler, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	for round := range 5 {
		word := fmt.Sprint("round ", round)
		require.NoError(t, c.Send(ctx, word))
		require.NoError(t, c.Flush(ctx))
		require.Equal(t, word, await(t, got))
		require.NoError(t, h.Shutdown(ctx))
		require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
		require.ErrorIs(t, c.Flush(ctx), transport.ErrDisconnected, "the end of each host is told")

		short, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- c.Send(short, "no host") }()
		cancel()
		err := await(t, ended)
		require.ErrorIs(t, err, context.Canceled)
		h = host(t, e.Strings, handler, e.config())
	}
	require.NoError(t, c.Send(ctx, "at last"))
	require.Equal(t, "at last", await(t, got))
}

func testReceiveAcrossHosts(t *testing.T, e *env) {
	handler := func(_ context.Context, m transport.Message[string]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body+" 1"))
		assert.NoError(t, m.Reply(context.Background(), m.Body+" 2"))
	}
	h := host(t, e.Strings, handler, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	receive := func(want string) {
		t.Helper()
		v, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	require.NoError(t, c.Send(ctx, "first"))
	require.NoError(t, c.Flush(ctx))
	receive("first 1")
	// The second reply waits while the host ends: it is not lost with it.
	require.NoError(t, h.Shutdown(ctx))
	if !e.config().Attested { // where the end is noticed when all has been read
		require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
	}
	receive("first 2")
	_, err := c.Receive(ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)

	waiting := make(chan string)
	go func() {
		v, err := c.Receive(ctx) // also while there is no host
		waiting <- fmt.Sprint(v, err)
	}()
	host(t, e.Strings, handler, e.config())
	require.NoError(t, c.Send(ctx, "second"))
	assert.Equal(t, "second 1<nil>", await(t, waiting))
	receive("second 2")
}

// A graceful end of either side is not reported as an error.
func testQuiet(t *testing.T, e *env) {
	quiet := func(c *transport.Config) {
		c.OnError = func(err error) { t.Error(err) }
	}
	for round := range 40 {
		ctx := context30(t)
		h, err := e.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {}), e.config(quiet))
		require.NoError(t, err)
		c, err := e.Strings.NewClient(ctx, e.endpoint, nil, e.config())
		require.NoError(t, err)
		require.NoError(t, c.Send(ctx, "hello"))
		require.NoError(t, c.Flush(ctx))
		if round%2 == 0 {
			require.NoError(t, c.Close())
		}
		require.NoError(t, h.Shutdown(ctx))
		require.NoError(t, c.Close())
	}
}

func testInUse(t *testing.T, e *env) {
	handler := func(context.Context, transport.Message[string]) {}
	h := host(t, e.Strings, handler, e.config())
	for _, other := range []*transport.Config{e.config(), e.config(func(c *transport.Config) { c.NoInProcess = !c.NoInProcess })} {
		_, err := e.Strings.NewHost(e.endpoint, service(handler), other)
		require.ErrorIs(t, err, transport.ErrEndpointInUse)
		_, err = e.Listen(e.endpoint, other)
		require.ErrorIs(t, err, transport.ErrEndpointInUse)
	}
	// The failed ones have not disturbed it.
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "x"))
	require.NoError(t, c.Close())

	require.NoError(t, h.Close())
	host(t, e.Strings, handler, e.config())
}

func testNoHost(t *testing.T, e *env) {
	ctx := context30(t)
	_, err := e.Strings.NewClient(ctx, e.endpoint, nil, e.config())
	require.ErrorIs(t, err, transport.ErrNoHost)
	require.ErrorIs(t, err, fs.ErrNotExist)
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config())
	_, err = e.Strings.NewClient(ctx, e.endpoint+".other", nil, e.config())
	require.ErrorIs(t, err, transport.ErrNoHost)
	require.NoError(t, h.Close())
	_, err = e.Strings.NewClient(ctx, e.endpoint, nil, e.config())
	require.ErrorIs(t, err, transport.ErrNoHost)
	for _, name := range []string{"", ".x", "a/b", "a b", string(make([]byte, 128))} {
		_, err = e.Strings.NewClient(ctx, name, nil, e.config())
		require.ErrorIs(t, err, transport.ErrInvalidEndpoint, "%q", name)
		_, err = e.Strings.NewHost(name, service(func(context.Context, transport.Message[string]) {}), e.config())
		require.ErrorIs(t, err, transport.ErrInvalidEndpoint, "%q", name)
	}
}
