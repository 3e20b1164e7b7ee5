package transporttest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// batchTests are about SendBatch and Messages.
var batchTests = []test{
	{"SendBatch", testBatch},
	{"SendBatchSizes", testBatchSizes},
	{"SendBatchStopsWhere", testBatchStops},
	{"SendBatchObeysContext", testBatchContext},
	{"SendBatchWithoutHost", testBatchNoHost},
	{"Messages", testMessages},
	{"MessagesEnd", testMessagesEnd},
}

// A batch is in order with what is sent before and after it.
func testBatch(t *testing.T, e *env) {
	const n, rounds = 700, 5
	got := make(chan Point, rounds*n)
	host(t, e.Points, func(_ context.Context, m transport.Message[Point]) { got <- m.Body }, e.config())
	c, ctx := client(t, e.Points, e.config()), context30(t)
	batch := make([]Point, n-2)
	for round := range uint32(rounds) {
		require.NoError(t, c.Send(ctx, Point{0, 1 + round}))
		for i := range batch {
			batch[i] = Point{1 + uint32(i), n + round}
		}
		sent, err := c.SendBatch(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, len(batch), sent)
		clear(batch) // it is the caller's again
		require.NoError(t, c.Send(ctx, Point{n - 1, n + round}))
	}
	sent, err := c.SendBatch(ctx, nil)
	require.NoError(t, err)
	require.Zero(t, sent)
	require.NoError(t, c.Flush(ctx))
	for i := range rounds * n {
		require.EqualValues(t, i%n, await(t, got).X)
	}
	assert.Equal(t, transport.Stats{SentMessages: rounds * n, SentBytes: 8 * rounds * n}, carried(c.Stats()))
}

// Messages that share a frame, that have one of their own, and that have several.
func testBatchSizes(t *testing.T, e *env) {
	sizes := []int{0, 1, 16<<10 - 4, 0, 16<<10 - 3, 100, 16 << 10, 64 << 10, 200, 300, 64<<10 + 257, 0, 1 << 20, 5}
	a, b := conns(t, e)
	ctx := context30(t)
	var batch [][]byte
	for _, size := range sizes {
		batch = append(batch, pattern(size))
	}
	join := meanwhile(func() {
		for range 2 {
			sent, err := a.SendBatch(ctx, batch)
			assert.NoError(t, err)
			assert.Equal(t, len(batch), sent)
		}
		assert.NoError(t, a.Flush(ctx))
	})
	defer join()
	for range 2 {
		for _, want := range batch {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.True(t, string(want) == string(p), "%d bytes instead of %d", len(p), len(want))
		}
	}
}

// A batch ends before the message that can't be sent; the connection goes on.
func testBatchStops(t *testing.T, e *env) {
	const size = 8
	limited := e.config(func(c *transport.Config) { c.MaxMessageSize = size })
	got := make(chan Point, 100)
	host(t, e.Points, func(_ context.Context, m transport.Message[Point]) { got <- m.Body }, limited)
	c, ctx := client(t, e.Points, e.config()), context30(t)
	for bad := range 3 {
		batch := []Point{{1, 2}, {3, 4}, {5, 6}}
		batch[bad] = Point{7, 7}
		sent, err := c.SendBatch(ctx, batch)
		require.ErrorIs(t, err, transport.ErrEncode)
		require.ErrorIs(t, err, errDiagonal)
		require.Equal(t, bad, sent)
		require.NoError(t, c.Send(ctx, Point{8, 9}))
		for _, want := range append(batch[:bad:bad], Point{8, 9}) {
			require.Equal(t, want, await(t, got))
		}
	}

	e = newEnv(t, e.Layer, e.variant)
	a, b := connsOf(t, e, e.config(func(c *transport.Config) { c.MaxMessageSize = size }), e.config())
	for bad := range 3 {
		batch := [][]byte{{1}, {2}, {3}}
		batch[bad] = make([]byte, size+1)
		sent, err := b.SendBatch(ctx, batch)
		require.ErrorIs(t, err, transport.ErrMessageTooLarge)
		require.Equal(t, bad, sent)
		require.NoError(t, b.Send(ctx, []byte("on")))
		require.NoError(t, b.Flush(ctx))
		for _, want := range append(batch[:bad:bad], []byte("on")) {
			p, err := a.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want, p)
		}
	}
	assert.EqualValues(t, 0+1+2+3, b.Stats().SentMessages)
	require.NoError(t, b.Close())
	sent, err := b.SendBatch(ctx, [][]byte{nil})
	require.ErrorIs(t, err, transport.ErrClosed)
	require.Zero(t, sent)
}

// A batch for which there is no room ends with its context; what it says it has
// sent, and nothing else, arrives.
func testBatchContext(t *testing.T, e *env) {
	const size = 20_000
	a, b := conns(t, e)
	ctx := context30(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	sent, err := a.SendBatch(ended, [][]byte{nil})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, sent)

	batch := make([][]byte, e.large()/size)
	for i := range batch {
		batch[i] = make([]byte, size)
		copy(batch[i], number(i))
	}
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		sent int
		err  error
	}
	results := make(chan result, 1)
	go func() {
		sent, err := a.SendBatch(short, batch)
		results <- result{sent, err}
	}()
	p, err := b.Receive(ctx) // some of it is sent
	require.NoError(t, err)
	require.Equal(t, batch[0], p)
	cancel()
	got := await(t, results)
	require.ErrorIs(t, got.err, context.Canceled)
	require.Less(t, got.sent, len(batch))
	require.Positive(t, got.sent)
	join := meanwhile(func() {
		assert.NoError(t, a.Send(ctx, []byte("end")))
		assert.NoError(t, a.Flush(ctx))
	})
	defer join()
	for i := 1; i < got.sent; i++ {
		p, err := b.Receive(ctx)
		require.NoError(t, err)
		require.True(t, string(batch[i]) == string(p), "message %d of %d", i, got.sent)
	}
	p, err = b.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "end", string(p))
}

func testBatchNoHost(t *testing.T, e *env) {
	handler := func(context.Context, transport.Message[string]) {}
	h := host(t, e.Strings, handler, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, h.Shutdown(ctx))
	require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
	require.ErrorIs(t, c.Flush(ctx), transport.ErrDisconnected)
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		sent, err := c.SendBatch(short, []string{"nobody", "there"})
		assert.Zero(t, sent)
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, await(t, ended), context.Canceled)

	got := make(chan string, 2)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { got <- m.Body }, e.config())
	sent, err := c.SendBatch(ctx, []string{"at", "last"})
	require.NoError(t, err)
	require.Equal(t, 2, sent)
	assert.Equal(t, "at", await(t, got))
	assert.Equal(t, "last", await(t, got))
	require.NoError(t, c.Close())
	sent, err = c.SendBatch(ctx, []string{"too late"})
	require.ErrorIs(t, err, transport.ErrClosed)
	require.Zero(t, sent)
}

// one is what Messages yields.
type one struct {
	body string
	err  error
}

// iterate runs an iteration and passes on what it yields.
func iterate(ctx context.Context, c *transport.Client[string]) <-chan one {
	yielded := make(chan one)
	go func() {
		defer close(yielded)
		for body, err := range c.Messages(ctx) {
			yielded <- one{body, err}
		}
	}()
	return yielded
}

// Messages goes on after what can't be decoded and with the next host, and leaves
// the rest to the next Receive when its loop is left.
func testMessages(t *testing.T, e *env) {
	s := transport.Service[string]{Codec: oddCodec{}, Handle: func(ctx context.Context, m transport.Message[string]) {
		for _, v := range []string{"one", "decode", "panic", "two", "three"} {
			assert.NoError(t, m.Reply(ctx, v))
		}
	}}
	h := serve(t, e.Strings, s, e.config())
	ctx := context30(t)
	c, err := e.Strings.NewClient(ctx, e.endpoint, oddCodec{}, e.config())
	require.NoError(t, err)
	defer c.Close()

	require.NoError(t, c.Send(ctx, "go on"))
	var got []string
	for body, err := range c.Messages(ctx) {
		if err != nil {
			var bad *transport.MessageError
			require.ErrorAs(t, err, &bad)
			require.ErrorIs(t, err, transport.ErrDecode)
			require.Empty(t, body)
			body = "bad"
		}
		got = append(got, body)
		if body == "two" {
			break
		}
	}
	require.Equal(t, []string{"one", "bad", "bad", "two"}, got)
	body, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "three", body)

	short, cancel := context.WithCancel(ctx)
	yielded := iterate(short, c)
	require.NoError(t, h.Shutdown(ctx))
	var gone *transport.DisconnectedError
	require.ErrorAs(t, await(t, yielded).err, &gone)
	serve(t, e.Strings, s, e.config())
	require.NoError(t, c.Send(ctx, "go on"))
	require.Equal(t, one{body: "one"}, await(t, yielded))
	for range 2 {
		require.ErrorIs(t, await(t, yielded).err, transport.ErrDecode)
	}
	for _, want := range []string{"two", "three"} {
		require.Equal(t, one{body: want}, await(t, yielded))
	}
	cancel()
	require.Equal(t, one{}, await(t, yielded), "the end of ctx is not yielded")
}

// Messages ends, and yields nothing, at the end of its context and of its client,
// with a host and without.
func testMessagesEnd(t *testing.T, e *env) {
	for _, row := range []struct {
		name         string
		hosted, ends bool
	}{
		{"context", true, true},
		{"context without host", false, true},
		{"close", true, false},
		{"close without host", false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			h := host(t, e.Strings, func(ctx context.Context, m transport.Message[string]) {
				assert.NoError(t, m.Reply(ctx, m.Body))
			}, e.config())
			c, ctx := client(t, e.Strings, e.config()), context30(t)
			short, cancel := context.WithCancel(ctx)
			defer cancel()
			yielded := iterate(short, c)
			require.NoError(t, c.Send(ctx, "begin"))
			require.Equal(t, one{body: "begin"}, await(t, yielded))
			if !row.hosted {
				require.NoError(t, h.Shutdown(ctx))
				require.ErrorIs(t, await(t, yielded).err, transport.ErrDisconnected)
			}
			if row.ends {
				cancel()
			} else {
				require.NoError(t, c.Close())
			}
			for v := range yielded {
				require.Fail(t, "the end is not yielded", fmt.Sprint(v))
			}
			for v, err := range c.Messages(short) {
				require.Fail(t, "it has ended", fmt.Sprint(v, err))
			}
		})
	}
}
