package transporttest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

var leftoverTests = []test{
	{"ReceiveAfterTheHostHasGone", testReceiveLate},
	{"ContextEndsWithoutHost", testContextWithoutHost},
	{"SessionSendAfterTheClient", testSendAfterClient},
	{"SessionSendAfterAReason", testSendAfterReason},
	{"AdmittedIsPublishedTo", testAdmittedIsPublishedTo},
	{"ForgottenClientIsClosed", testForgottenClient},
}

// A client that calls Receive only when its host has gone gets what that had sent,
// and then how the connection ended.
func testReceiveLate(t *testing.T, e *env) {
	const n = 100
	for name, end := range map[string]func(h Host, s *transport.Session[string]) error{
		"Session.Close": func(_ Host, s *transport.Session[string]) error { return s.Close("done") },
		"Close":         func(h Host, _ *transport.Session[string]) error { return h.Close() },
		"Shutdown":      func(h Host, _ *transport.Session[string]) error { return h.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			e, ctx := newEnv(t, e.Layer, e.variant), context30(t)
			sessions := make(chan *transport.Session[string], 1)
			h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { sessions <- m.Session }, e.config())
			c := client(t, e.Strings, e.config())
			first := c.Peer()
			require.NoError(t, c.Send(ctx, "hello"))
			s := await(t, sessions)
			for i := range n {
				require.NoError(t, s.Send(ctx, fmt.Sprint(i)))
			}
			require.NoError(t, end(h, s))
			require.Eventually(t, func() bool { return c.Peer() != first }, limit, tick, "the client does not notice")

			// The report to a sender takes nothing from the receiver.
			err := c.Flush(ctx)
			require.ErrorIs(t, err, transport.ErrDisconnected)
			if name == "Session.Close" {
				requireReason(t, "done", err)
			}
			received := 0
			got, err := c.Receive(ctx)
			for ; err == nil; got, err = c.Receive(ctx) {
				require.Equal(t, fmt.Sprint(received), got)
				received++
			}
			if name != "Close" || !e.coalesces() { // Close drops what is coalesced
				require.Equal(t, n, received)
			}
			require.ErrorIs(t, err, transport.ErrDisconnected)
			if name == "Session.Close" {
				requireReason(t, "done", err)
			} else {
				require.ErrorIs(t, err, io.EOF)
			}
			var lost *transport.DisconnectedError
			require.ErrorAs(t, err, &lost)
			require.Zero(t, lost.Unconfirmed, "it is reported once")
			assert.EqualValues(t, received, c.Stats().ReceivedMessages)
			assert.EqualValues(t, 1, c.Stats().SentMessages)
		})
	}
}

// To wait for a host in vain is no news of a host: a loop that goes on after
// ErrDisconnected ends with its context.
func testContextWithoutHost(t *testing.T, e *env) {
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config())
	c := client(t, e.Strings, e.config())
	require.NoError(t, h.Close())
	_, err := c.Receive(context30(t))
	require.ErrorIs(t, err, transport.ErrDisconnected, "once")
	ctx, cancel := context.WithTimeout(context30(t), time.Nanosecond)
	defer cancel()
	for name, call := range map[string]func() error{
		"Send":      func() error { return c.Send(ctx, "not sent") },
		"SendBatch": func() error { _, err := c.SendBatch(ctx, []string{"not sent"}); return err },
		"Flush":     func() error { return c.Flush(ctx) },
		"Receive":   func() error { _, err := c.Receive(ctx); return err },
	} {
		for range 2 {
			err := call()
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.NotErrorIs(t, err, transport.ErrDisconnected, name)
		}
	}
	for v, err := range c.Messages(ctx) {
		assert.Fail(t, "a message without a host", "%q %v", v, err)
		break
	}
}

// A session whose client has closed is not one that this side has closed.
func testSendAfterClient(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[string], 1)
	h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { sessions <- m.Session }, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "hello"))
	s := await(t, sessions)
	require.NoError(t, c.Close())
	connected(t, h, 0)
	require.ErrorIs(t, s.Send(ctx, "too late"), transport.ErrPeerGone)
	require.NoError(t, s.Close("too late"))
	require.ErrorIs(t, s.Send(ctx, "too late"), transport.ErrPeerGone)
}

// A session whose client has closed with a reason says so when something is sent to it.
func testSendAfterReason(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[[]byte], 1)
	h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) { sessions <- m.Session }, e.config())
	ctx := context30(t)
	c, err := e.Dial(ctx, e.endpoint, e.config())
	require.NoError(t, err)
	require.NoError(t, c.Send(ctx, []byte("hello")))
	s := await(t, sessions)
	require.NoError(t, c.CloseWithReason("enough"))
	connected(t, h, 0)
	err = s.Send(ctx, []byte("too late"))
	require.ErrorIs(t, err, transport.ErrPeerGone)
	requireReason(t, "enough", err)
}

// Once its constructor has returned, a client that OnConnect has admitted is among
// the sessions, and gets what is published.
func testAdmittedIsPublishedTo(t *testing.T, e *env) {
	ctx := context30(t)
	h := serve(t, e.Strings, transport.Service[string]{
		OnConnect: func(context.Context, *transport.Session[string]) error { return nil },
		Handle:    func(context.Context, transport.Message[string]) {},
	}, e.config())
	var wg sync.WaitGroup
	var returned atomic.Int64
	for range 4 {
		wg.Go(func() {
			for range e.repeat(30) {
				c, err := e.Strings.NewClient(ctx, e.endpoint, nil, e.config())
				n := returned.Add(1)
				if !assert.NoError(t, err) {
					return
				}
				assert.GreaterOrEqual(t, h.Stats().Connections, int(n))
				t.Cleanup(func() { assert.NoError(t, c.Close()) })
			}
		})
	}
	wg.Wait()
	c := client(t, e.Strings, e.config())
	require.NoError(t, h.Publish(ctx, "published", transport.DropOldest))
	got, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "published", got)
}

// A Client that nobody holds any more is closed, and the log says so. One that is in use is
// not.
func testForgottenClient(t *testing.T, e *env) {
	ctx := context30(t)
	h := host(t, e.Strings, func(ctx context.Context, m transport.Message[string]) {
		if m.Body == "used" { // the other client may be gone before it is answered
			assert.NoError(t, m.Reply(ctx, m.Body))
		}
	}, e.config())
	var logged logBook
	used := client(t, e.Strings, e.config())
	received := make(chan error, 1)
	go func() {
		_, err := used.Receive(ctx)
		received <- err
	}()
	func() {
		c, err := e.Strings.NewClient(ctx, e.endpoint, nil, e.config(func(c *transport.Config) { c.Logger = slog.New(&logged) }))
		require.NoError(t, err)
		require.NoError(t, c.Send(ctx, "forgotten"))
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return h.Stats().Accepted == 2 && h.Stats().Connections == 1
	}, limit, tick)
	require.Eventually(t, func() bool {
		return logged.has("a Client was not closed before it was garbage; closing it", h.Endpoint())
	}, limit, tick)
	require.NoError(t, used.Send(ctx, "used"))
	require.NoError(t, await(t, received))
}
