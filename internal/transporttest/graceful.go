package transporttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// gracefulTests are about hosts that end and clients that go on with the next.
var gracefulTests = []test{
	{"RestartsLoseNothing", testRestarts},
	{"RestartsOfASlowHost", testSlowRestarts},
	{"GoAwayEndsThePeer", testGoAway},
	{"GoAwayReachesWhoDoesNotReceive", testGoAwayDeaf},
	{"GivenUpIsNotHandled", testGivenUp},
	{"ReconnectIsReported", testReconnectReported},
	{"EachEndIsReported", testEachEnd},
	{"EndsAreReportedInTheirPlace", testEndsInPlace},
}

// record is what hosts have handled, one after the other.
type record struct {
	mu      sync.Mutex
	numbers []int
	changed chan struct{}
}

func newRecord() *record { return &record{changed: make(chan struct{}, 1)} }

func (r *record) add(body string) {
	n, err := strconv.Atoi(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		n = -1
	}
	r.numbers = append(r.numbers, n)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *record) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.numbers)
}

// reaches waits until so many were handled.
func (r *record) reaches(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for r.len() < n {
		select {
		case <-r.changed:
		case <-ctx.Done():
			require.FailNow(t, "the hosts handle nothing more", "%d of %d", r.len(), n)
		}
	}
}

// sendOn sends numbers from 0 on until stop is closed and returns how many it has sent, and
// how often it was told of a host that had ended, which must not have cost a message.
func sendOn(ctx context.Context, t *testing.T, c *transport.Client[string], stop <-chan struct{}) (sent, ends int) {
	for {
		select {
		case <-stop:
			return sent, ends
		default:
		}
		err := c.Send(ctx, strconv.Itoa(sent))
		if err == nil {
			sent++
			continue
		}
		var gone *transport.DisconnectedError
		if !assert.ErrorAs(t, err, &gone) {
			return sent, ends
		}
		assert.Zero(t, gone.Unconfirmed)
		assert.True(t, gone.NotSent)
		assert.ErrorIs(t, err, io.EOF)
		ends++
		assert.EqualValues(t, ends, gone.Generation)
	}
}

func testRestarts(t *testing.T, e *env) { restarts(t, e, 4, 300, func() {}) }

// A host that handles less than a client sends shuts down gracefully all the same.
func testSlowRestarts(t *testing.T, e *env) {
	block := make([]byte, 512)
	restarts(t, e, 1, 50, func() { block[0] = sha256.Sum256(block)[0] })
}

// restarts lets hosts follow each other while a client sends without a pause. Each
// message for which Send has returned nil is handled once and in order.
func restarts(t *testing.T, e *env, rounds, each int, work func()) {
	e = newEnv(t, e.Layer, e.variant)
	ctx, handled := context30(t), newRecord()
	handle := func(_ context.Context, m transport.Message[string]) {
		work()
		handled.add(m.Body)
	}
	h := host(t, e.Strings, handle, e.config())
	c := client(t, e.Strings, e.config())
	stop := make(chan struct{})
	var sent, ends int
	join := meanwhile(func() { sent, ends = sendOn(ctx, t, c, stop) })
	for range rounds {
		handled.reaches(ctx, t, handled.len()+each)
		require.NoError(t, h.Shutdown(ctx))
		h = host(t, e.Strings, handle, e.config())
	}
	handled.reaches(ctx, t, handled.len()+each)
	close(stop)
	join()
	assert.Equal(t, rounds, ends, "each end is told once")
	assert.EqualValues(t, rounds+1, c.Generation())
	require.NoError(t, c.Close())
	require.NoError(t, h.Shutdown(ctx))
	require.Equal(t, sent, len(handled.numbers))
	for i, n := range handled.numbers {
		require.Equal(t, i, n, "in order")
	}
}

// GoAway ends the other side's messages: what it has sent arrives, and then its end; this
// side can still send.
func testGoAway(t *testing.T, e *env) {
	b, a := conns(t, e)
	ctx := context30(t)
	sent := 0
	for ; sent < 50; sent++ {
		require.NoError(t, a.Send(ctx, []byte(strconv.Itoa(sent))))
	}
	b.GoAway()
	var err error
	join := meanwhile(func() { // until it hears of it
		for err = a.Send(ctx, []byte(strconv.Itoa(sent))); err == nil; err = a.Send(ctx, []byte(strconv.Itoa(sent))) {
			sent++
		}
	})
	received := 0
	p, rerr := b.Receive(ctx)
	for ; rerr == nil; p, rerr = b.Receive(ctx) {
		require.Equal(t, strconv.Itoa(received), string(p))
		received++
	}
	join()
	require.Equal(t, io.EOF, rerr)
	require.ErrorIs(t, err, transport.ErrPeerGone)
	require.Equal(t, sent, received)
	require.NoError(t, b.Send(ctx, []byte("answer")))
	require.NoError(t, b.Flush(ctx))
	p, err = a.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "answer", string(p))
	b.GoAway()
	require.NoError(t, b.Close())
	b.GoAway()
	_, err = a.Receive(ctx)
	require.Equal(t, io.EOF, err)
	require.NoError(t, a.Close())
}

// A client that does not receive, and whose buffer is full of messages, hears GoAway.
func testGoAwayDeaf(t *testing.T, e *env) {
	b, a := conns(t, e)
	ctx := context30(t)
	require.NoError(t, a.Send(ctx, []byte("sent")))
	short, cancel := context.WithCancel(ctx)
	begun := make(chan struct{})
	var err error
	join := meanwhile(func() {
		close(begun)
		err = b.Send(short, make([]byte, e.large()))
	})
	await(t, begun)
	b.GoAway()
	p, rerr := b.Receive(ctx)
	require.NoError(t, rerr)
	require.Equal(t, "sent", string(p))
	_, rerr = b.Receive(ctx)
	require.Equal(t, io.EOF, rerr)
	cancel()
	join()
	require.ErrorIs(t, err, context.Canceled)
}

// Messages that Shutdown gave up on are reported, and not handled any more, neither by
// the host that gave up nor by the next.
func testGivenUp(t *testing.T, e *env) {
	ctx, over := context30(t), make(chan struct{})
	entered, free := make(chan struct{}), make(chan struct{})
	var handled atomic.Int64
	h := serve(t, e.Strings, transport.Service[string]{
		Handle: func(context.Context, transport.Message[string]) {
			if handled.Add(1) == 1 {
				close(entered)
				<-free
			}
		},
		OnDisconnect: func(*transport.Session[string], error) { close(over) },
	}, e.config())
	c := client(t, e.Strings, e.config())
	const n = 30
	for i := range n {
		require.NoError(t, c.Send(ctx, strconv.Itoa(i)))
	}
	require.NoError(t, c.Flush(ctx))
	await(t, entered)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, h.Shutdown(ended), context.Canceled)
	next := newRecord()
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { next.add(m.Body) }, e.config())
	require.Eventually(t, func() bool { return c.Generation() == 2 }, limit, tick)
	var lost *transport.DisconnectedError
	require.ErrorAs(t, c.Send(ctx, "not sent"), &lost)
	assert.EqualValues(t, n, lost.Unconfirmed, "the first was not finished")
	require.NoError(t, c.Send(ctx, strconv.Itoa(n)))
	require.NoError(t, c.Flush(ctx))
	next.reaches(ctx, t, 1)
	close(free)
	await(t, over)
	assert.EqualValues(t, 1, handled.Load())
	assert.Equal(t, []int{n}, next.numbers)
}

// A client that was idle while its host was replaced is told, once, by whichever call
// comes next.
func testReconnectReported(t *testing.T, e *env) {
	for name, call := range map[string]func(ctx context.Context, c *transport.Client[string]) error{
		"Send": func(ctx context.Context, c *transport.Client[string]) error { return c.Send(ctx, "lost") },
		"SendBatch": func(ctx context.Context, c *transport.Client[string]) error {
			_, err := c.SendBatch(ctx, []string{"lost"})
			return err
		},
		"Flush":   func(ctx context.Context, c *transport.Client[string]) error { return c.Flush(ctx) },
		"Receive": func(ctx context.Context, c *transport.Client[string]) error { _, err := c.Receive(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			e, ctx := newEnv(t, e.Layer, e.variant), context30(t)
			got := make(chan string, 2)
			handler := func(_ context.Context, m transport.Message[string]) { got <- m.Body }
			h := host(t, e.Strings, handler, e.config())
			c := client(t, e.Strings, e.config())
			require.EqualValues(t, 1, c.Generation())
			require.NoError(t, h.Shutdown(ctx))
			host(t, e.Strings, handler, e.config())
			require.Eventually(t, func() bool { return c.Generation() == 2 }, limit, tick)

			err := call(ctx, c)
			require.ErrorIs(t, err, transport.ErrDisconnected)
			var gone *transport.DisconnectedError
			require.True(t, errors.As(err, &gone))
			assert.Zero(t, gone.Unconfirmed)
			assert.EqualValues(t, 1, gone.Generation)
			assert.Equal(t, name == "Send" || name == "SendBatch", gone.NotSent)
			require.NoError(t, c.Send(ctx, "arrives"))
			require.NoError(t, c.Flush(ctx))
			assert.Equal(t, "arrives", await(t, got))
			require.NoError(t, c.Close(), "nothing was lost")
		})
	}
}

// Hosts that end while a client is idle are a report each, the oldest of many together.
func testEachEnd(t *testing.T, e *env) {
	for hosts, first := range map[uint64]uint64{2: 1, 6: 3} { // the last 4 have their own
		t.Run(strconv.FormatUint(hosts, 10), func(t *testing.T) {
			e, ctx := newEnv(t, e.Layer, e.variant), context30(t)
			handler := func(context.Context, transport.Message[string]) {}
			h := host(t, e.Strings, handler, e.config())
			c := client(t, e.Strings, e.config())
			for n := range hosts {
				require.NoError(t, h.Shutdown(ctx))
				h = host(t, e.Strings, handler, e.config())
				require.Eventually(t, func() bool { return c.Generation() == n+2 }, limit, tick)
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			require.ErrorIs(t, c.Send(ended, "not sent"), context.Canceled, "its context comes first, and nothing is told")
			for n := first; n <= hosts; n++ {
				var gone *transport.DisconnectedError
				require.ErrorAs(t, c.Send(ctx, "not sent"), &gone)
				assert.Equal(t, n, gone.Generation)
			}
			require.NoError(t, c.Send(ctx, "sent"))
		})
	}
}

// What Receive says of the end of a connection is of that connection, although others have
// ended since, and an ended context comes before what is left of them.
func testEndsInPlace(t *testing.T, e *env) {
	ctx := context30(t)
	c := (*transport.Client[string])(nil)
	for n := range uint64(2) {
		sessions := make(chan *transport.Session[string], 1)
		h := serve(t, e.Strings, transport.Service[string]{
			Handle:    func(_ context.Context, m transport.Message[string]) { sessions <- m.Session },
			OnConnect: func(context.Context, *transport.Session[string]) error { return nil },
		}, e.config())
		if c == nil {
			c = client(t, e.Strings, e.config())
		} else {
			require.Eventually(t, func() bool { return c.Generation() == n+1 }, limit, tick)
			require.ErrorIs(t, c.Send(ctx, "not sent"), transport.ErrDisconnected)
		}
		require.NoError(t, c.Send(ctx, "hello"))
		require.NoError(t, c.Flush(ctx))
		s := await(t, sessions)
		require.NoError(t, s.Send(ctx, "message "+strconv.FormatUint(n+1, 10)))
		require.NoError(t, s.Close("reason "+strconv.FormatUint(n+1, 10)))
		require.NoError(t, h.Close())
		require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for n := range uint64(2) {
		_, err := c.Receive(ended)
		require.ErrorIs(t, err, context.Canceled)
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, "message "+strconv.FormatUint(n+1, 10), got)
		_, err = c.Receive(ctx)
		var gone *transport.DisconnectedError
		require.ErrorAs(t, err, &gone)
		assert.Equal(t, n+1, gone.Generation)
		requireReason(t, "reason "+strconv.FormatUint(n+1, 10), err)
	}
}
