package transporttest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// sessionTests are about Session, OnConnect and OnDisconnect.
var sessionTests = []test{
	{"Session", testSession},
	{"Sessions", testSessions},
	{"SessionClose", testSessionClose},
	{"SessionCloseOfSender", testSessionCloseSender},
	{"SessionCloseIsToldLater", testSessionCloseLater},
	{"SessionCloseOfConn", testSessionCloseConn},
	{"OnConnectRefuses", testOnConnectRefuses},
	{"OnConnectIsWaitedFor", testOnConnectWaits},
	{"OnConnectTakesTooLong", testOnConnectTimeout},
	{"SendInOnConnect", testOnConnectSends},
	{"OnDisconnect", testOnDisconnect},
}

// requireReason requires an error to be the other side's close with a reason.
func requireReason(t *testing.T, want string, err error) {
	t.Helper()
	var closed *transport.CloseError
	require.ErrorAs(t, err, &closed)
	require.Equal(t, want, closed.Reason)
}

func testSession(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[string], 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { sessions <- m.Session }, e.config())
	ctx := context30(t)
	self := e.self(t)
	for id := range uint64(3) {
		c := client(t, e.Strings, e.config())
		require.NoError(t, c.Send(ctx, "hello"))
		s := await(t, sessions)
		assert.Equal(t, id+1, s.ID())
		assert.Equal(t, self.Token(), s.Peer().Token())
		assert.Equal(t, e.Secure, !s.PeerKey().IsZero())
		assert.False(t, e.Secure && s.PeerKey().Equal(c.PeerKey()), "its own key instead of the client's")
		require.NoError(t, s.Context().Err())

		assert.Nil(t, s.Value())
		for _, v := range []any{"state", 7, nil} { // of different types
			s.SetValue(v)
			assert.Equal(t, v, s.Value())
		}
		s.SetValue(id)

		// The handler has returned or will; this is another goroutine anyway.
		require.NoError(t, s.Send(ctx, "one"))
		require.NoError(t, s.Send(ctx, "two"))
		for _, want := range []string{"one", "two"} {
			got, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		require.NoError(t, c.Send(ctx, "again"))
		require.Same(t, s, await(t, sessions))
		assert.Equal(t, id, s.Value())
		want := transport.Stats{SentMessages: 2, SentBytes: 6, ReceivedMessages: 2, ReceivedBytes: 10}
		require.Eventually(t, func() bool { return carried(s.Stats()) == want }, limit, tick)
	}
}

func testSessions(t *testing.T, e *env) {
	h := serve(t, e.Strings, service(func(context.Context, transport.Message[string]) {}), e.config())
	ids := func() (ids []uint64) {
		for s := range h.Sessions() {
			ids = append(ids, s.ID())
		}
		slices.Sort(ids)
		return ids
	}
	assert.Empty(t, ids())
	var clients []*transport.Client[string]
	for i := range 3 {
		clients = append(clients, client(t, e.Strings, e.config()))
		connected(t, h, i+1)
	}
	assert.Equal(t, []uint64{1, 2, 3}, ids())
	n := 0
	for range h.Sessions() {
		n++
		break
	}
	assert.Equal(t, 1, n)
	require.NoError(t, clients[1].Close())
	connected(t, h, 2)
	assert.Equal(t, []uint64{1, 3}, ids())
	require.NoError(t, h.Shutdown(context30(t)))
	assert.Empty(t, ids())
}

// A client that receives is told the reason, and finds the host again.
func testSessionClose(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[string], 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { sessions <- m.Session }, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	for round := range uint64(4) {
		require.NoError(t, c.Send(ctx, "hello"))
		s := await(t, sessions)
		require.Equal(t, round+1, s.ID())
		require.NoError(t, s.Send(ctx, "first"))
		got, err := c.Receive(ctx) // from now on it is a client that receives
		require.NoError(t, err)
		require.Equal(t, "first", got)
		require.NoError(t, s.Send(ctx, "last"))
		require.NoError(t, s.Close("enough of it"))
		require.NoError(t, s.Close("another reason"), "Close is idempotent")
		require.ErrorIs(t, s.Send(ctx, "too late"), transport.ErrClosed)

		got, err = c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "last", got)
		_, err = c.Receive(ctx)
		require.ErrorIs(t, err, transport.ErrDisconnected)
		requireReason(t, "enough of it", err)
	}
}

// A client that never receives is told the reason when it sends.
func testSessionCloseSender(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[string], 1)
	host(t, e.Strings, func(ctx context.Context, m transport.Message[string]) {
		sessions <- m.Session
		if m.Body == "stay" {
			<-ctx.Done()
		}
	}, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "stay"))
	s := await(t, sessions)
	const n = 40 // more than the host takes into its own memory at a time
	for range n {
		require.NoError(t, c.Send(ctx, string(make([]byte, 1000))))
	}
	require.NoError(t, c.Flush(ctx))
	require.NoError(t, s.Close("enough of it"))

	var err error
	for err == nil { // until it is noticed
		err = c.Send(ctx, "next")
	}
	var lost *transport.DisconnectedError
	require.ErrorAs(t, err, &lost)
	requireReason(t, "enough of it", err)
	assert.True(t, lost.NotSent)
	assert.NotZero(t, lost.Unconfirmed)

	require.NoError(t, c.Send(ctx, "again"))
	assert.EqualValues(t, 2, await(t, sessions).ID())
}

// A client that has found its host again before it calls anything is told the
// reason then, also if nothing is lost.
func testSessionCloseLater(t *testing.T, e *env) {
	ctx := context30(t)
	for name, call := range map[string]func(c *transport.Client[string]) error{
		"Send":    func(c *transport.Client[string]) error { return c.Send(ctx, "not sent") },
		"Flush":   func(c *transport.Client[string]) error { return c.Flush(ctx) },
		"Receive": func(c *transport.Client[string]) error { _, err := c.Receive(ctx); return err },
		"Close":   func(c *transport.Client[string]) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			h := serve(t, e.Strings, service(func(ctx context.Context, m transport.Message[string]) {
				assert.NoError(t, m.Reply(ctx, m.Body))
			}), e.config())
			c := client(t, e.Strings, e.config())
			connected(t, h, 1)
			for s := range h.Sessions() {
				require.NoError(t, s.Close("enough of it"))
			}
			require.Eventually(t, func() bool { return h.Stats().Accepted == 2 && c.Peer() != nil }, limit, tick)
			err := call(c)
			require.ErrorIs(t, err, transport.ErrDisconnected)
			requireReason(t, "enough of it", err)
			if name != "Close" {
				require.NoError(t, c.Send(ctx, "again"))
				got, err := c.Receive(ctx)
				if name != "Receive" { // which tells of each end in its place
					requireReason(t, "enough of it", err)
					got, err = c.Receive(ctx)
				}
				require.NoError(t, err)
				require.Equal(t, "again", got)
			}
			require.NoError(t, c.Close())
		})
	}
}

func testSessionCloseConn(t *testing.T, e *env) {
	sessions := make(chan *transport.Session[[]byte], 1)
	host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) { sessions <- m.Session }, e.config())
	ctx := context30(t)
	c, err := e.Dial(ctx, e.endpoint, e.config())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Send(ctx, nil))
	require.NoError(t, await(t, sessions).Close("\xffenough"))
	for range 2 {
		_, err = c.Receive(ctx)
		requireReason(t, "?enough", err)
	}
}

// A client that OnConnect refuses is told why; nothing else is heard of it.
func testOnConnectRefuses(t *testing.T, e *env) {
	refusal := errors.New("not today")
	var refuse atomic.Bool
	over, failures := make(chan uint64, 8), make(chan error, 8)
	h := serve(t, e.Bytes, transport.Service[[]byte]{
		Handle: func(context.Context, transport.Message[[]byte]) { t.Error("a refused client's message arrived") },
		OnConnect: func(ctx context.Context, s *transport.Session[[]byte]) error {
			assert.Equal(t, s.Context(), ctx)
			if refuse.Load() {
				return refusal
			}
			return nil
		},
		OnDisconnect: func(s *transport.Session[[]byte], _ error) { over <- s.ID() },
	}, e.config(func(c *transport.Config) { c.OnError = func(err error) { failures <- err } }))
	ctx := context30(t)
	refuse.Store(true)
	for range 2 {
		_, err := e.Bytes.NewClient(ctx, e.endpoint, nil, e.config())
		require.ErrorIs(t, err, transport.ErrRefused)
		require.ErrorIs(t, err, peer.ErrRefused)
		requireReason(t, "not today", err)
		_, err = e.Dial(ctx, e.endpoint, e.config())
		require.ErrorIs(t, err, transport.ErrRefused)
		requireReason(t, "not today", err)
		for range 2 {
			require.ErrorIs(t, await(t, failures), refusal)
		}
	}
	for range h.Sessions() {
		t.Error("a refused client has a session")
	}
	refuse.Store(false)
	c := client(t, e.Bytes, e.config())
	require.NoError(t, c.Close())
	assert.EqualValues(t, 5, await(t, over))
	require.NoError(t, h.Close())
	assert.Empty(t, over, "OnDisconnect of a refused client")
}

// The constructor of a client returns when OnConnect has decided.
func testOnConnectWaits(t *testing.T, e *env) {
	entered, free := make(chan struct{}, 1), make(chan struct{})
	serve(t, e.Strings, transport.Service[string]{
		Handle: func(context.Context, transport.Message[string]) {},
		OnConnect: func(_ context.Context, s *transport.Session[string]) error {
			if s.ID() == 1 {
				entered <- struct{}{}
				<-free
			}
			return nil
		},
	}, e.config())
	made := make(chan *transport.Client[string], 1)
	go func() {
		c, err := e.Strings.NewClient(context30(t), e.endpoint, nil,
			e.config(func(c *transport.Config) { c.HandshakeTimeout = limit }))
		assert.NoError(t, err)
		made <- c
	}()
	await(t, entered)
	for range 3 { // others are not delayed, and the first has time to fail
		require.NoError(t, client(t, e.Strings, e.config()).Close())
	}
	assert.Empty(t, made, "OnConnect has not decided")
	close(free)
	require.NoError(t, await(t, made).Close())
}

// A client does not wait for OnConnect beyond its HandshakeTimeout, and OnConnect
// learns that it has gone. What OnConnect has admitted ends with OnDisconnect all the
// same.
func testOnConnectTimeout(t *testing.T, e *env) {
	entered, gone := make(chan struct{}, 100), make(chan struct{}, 100)
	ended := make(chan struct{}, 100)
	h := serve(t, e.Strings, transport.Service[string]{
		Handle: func(context.Context, transport.Message[string]) {},
		OnConnect: func(ctx context.Context, _ *transport.Session[string]) error {
			entered <- struct{}{}
			<-ctx.Done()
			gone <- struct{}{}
			return nil
		},
		OnDisconnect: func(*transport.Session[string], error) { ended <- struct{}{} },
	}, e.config())
	for timeout := 20 * time.Millisecond; len(entered) == 0; timeout *= 2 {
		_, err := e.Strings.NewClient(context30(t), e.endpoint, nil,
			e.config(func(c *transport.Config) { c.HandshakeTimeout = timeout }))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, timeout, limit)
	}
	await(t, gone)
	await(t, ended)
	require.NoError(t, h.Close())
	assert.Len(t, ended, len(gone), "one for each")
}

// What OnConnect sends accepts the client and comes first.
func testOnConnectSends(t *testing.T, e *env) {
	free := make(chan struct{})
	serve(t, e.Strings, transport.Service[string]{
		Handle: func(ctx context.Context, m transport.Message[string]) { assert.NoError(t, m.Reply(ctx, m.Body)) },
		OnConnect: func(ctx context.Context, s *transport.Session[string]) error {
			assert.NoError(t, s.Send(ctx, "welcome"))
			<-free
			return nil
		},
	}, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "hello"))
	close(free)
	for _, want := range []string{"welcome", "hello"} {
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// OnDisconnect is called once, after the last message, with the reason.
func testOnDisconnect(t *testing.T, e *env) {
	const n = 50
	type client = transport.Conn
	type session = transport.Session[[]byte]
	table := map[string]struct {
		end   func(h Host, c *client, s *session) error
		check func(t *testing.T, err error)
		all   bool // messages are handled
	}{
		"client closes": {
			func(_ Host, c *client, _ *session) error { return c.Close() },
			func(t *testing.T, err error) { assert.NoError(t, err) }, true,
		},
		"client says why": {
			func(_ Host, c *client, _ *session) error { return c.CloseWithReason("bored") },
			func(t *testing.T, err error) { requireReason(t, "bored", err) }, true,
		},
		"session closed": {
			func(_ Host, _ *client, s *session) error { return s.Close("enough") },
			func(t *testing.T, err error) { assert.ErrorIs(t, err, transport.ErrClosed) }, false,
		},
		"host shut down": {
			func(h Host, _ *client, _ *session) error { return h.Shutdown(context30(t)) },
			func(t *testing.T, err error) { assert.ErrorIs(t, err, transport.ErrClosed) }, true,
		},
		"host closes": {
			func(h Host, _ *client, _ *session) error { return h.Close() },
			func(t *testing.T, err error) { assert.ErrorIs(t, err, transport.ErrClosed) }, false,
		},
	}
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			type end struct {
				s       *session
				err     error
				handled int
			}
			ends, sessions := make(chan end, 4), make(chan *session, n)
			handled := 0
			h := serve(t, e.Bytes, transport.Service[[]byte]{
				Handle: func(_ context.Context, m transport.Message[[]byte]) {
					handled++
					sessions <- m.Session
				},
				OnDisconnect: func(s *session, err error) { ends <- end{s, err, handled} },
			}, e.config())
			ctx := context30(t)
			c, err := e.Dial(ctx, e.endpoint, e.config())
			require.NoError(t, err)
			defer c.Close()
			for range n {
				require.NoError(t, c.Send(ctx, nil))
			}
			require.NoError(t, c.Flush(ctx))
			s := await(t, sessions)
			require.NoError(t, row.end(h, c, s))
			got := await(t, ends)
			row.check(t, got.err)
			assert.Same(t, s, got.s)
			if row.all {
				assert.Equal(t, n, got.handled)
			}
			require.NoError(t, h.Close())
			assert.Empty(t, ends, "OnDisconnect was called twice")
			assert.Equal(t, got.handled, handled, "a message was handled after OnDisconnect")
		})
	}
}
