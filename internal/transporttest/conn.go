package transporttest

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// connTests are about Listener and Conn.
var connTests = []test{
	{"Duplex", testDuplex},
	{"CloseWriteThenReceive", testHalfClose},
	{"EverythingBeforeClose", testCloseDelivers},
	{"FullBufferObeysContext", testFullBuffer},
	{"CancelledLargeMessage", testCancelledLarge},
	{"CancelledLargeThenClose", testCancelledLargeClose},
	{"ReceiveObeysContext", testReceiveContext},
	{"CloseUnblocks", testCloseUnblocks},
	{"StatsAfterReceive", testConnStats},
	{"ListenerClose", testListenerClose},
	{"Busy", testBusy},
	{"BusyThenFree", testBusyFree},
	{"LimitsOfBothSides", testLimits},
	{"EitherSideAttests", testEitherAttests},
	{"Throughput", testThroughput},
	{"ClientRefusesLateHost", testClientDropsRefusedHost},
	{"HostEndsOneDirection", testHalfHost},
}

// conns connects two Conns.
func conns(t *testing.T, e *env) (server, client *transport.Conn) {
	t.Helper()
	return connsOf(t, e, e.config(), e.config())
}

func connsOf(t *testing.T, e *env, serving, dialling *transport.Config) (server, client *transport.Conn) {
	t.Helper()
	ctx := context30(t)
	l, err := e.Listen(e.endpoint, serving)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	assert.Equal(t, e.endpoint, l.Endpoint())
	dialled := make(chan error, 1)
	go func() {
		var err error
		client, err = e.Dial(ctx, e.endpoint, dialling)
		dialled <- err
	}()
	server, err = l.Accept(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	require.NoError(t, await(t, dialled))
	t.Cleanup(func() { _ = client.Close() })
	return server, client
}

func testDuplex(t *testing.T, e *env) {
	const n = 5000
	a, b := conns(t, e)
	assert.Equal(t, e.endpoint, a.Endpoint())
	assert.Equal(t, e.endpoint, b.Endpoint())
	assert.Equal(t, a.Peer().Token(), b.Peer().Token(), "both are this process")
	ctx := context30(t)
	var all sync.WaitGroup
	for _, c := range []*transport.Conn{a, b} {
		all.Go(func() {
			for i := range n {
				assert.NoError(t, c.Send(ctx, fmt.Append(nil, i)))
			}
			assert.NoError(t, c.Flush(ctx))
		})
		all.Go(func() {
			for i := range n {
				p, err := c.Receive(ctx)
				if !assert.NoError(t, err) || !assert.Equal(t, fmt.Sprint(i), string(p)) {
					return
				}
				clear(p) // the slice is ours
			}
		})
	}
	all.Wait()
}

func testHalfClose(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	require.NoError(t, a.Send(ctx, []byte("last")))
	require.NoError(t, a.CloseWrite(ctx))
	require.ErrorIs(t, a.Send(ctx, nil), transport.ErrClosed)
	p, err := b.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "last", string(p))
	for range 2 {
		_, err = b.Receive(ctx)
		require.ErrorIs(t, err, io.EOF)
	}
	// The other direction goes on.
	require.NoError(t, b.Send(ctx, []byte("answer")))
	require.NoError(t, b.Flush(ctx))
	p, err = a.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "answer", string(p))
	require.NoError(t, b.Close())
	_, err = a.Receive(ctx)
	require.ErrorIs(t, err, io.EOF)
	await(t, a.Gone())
}

func testCloseDelivers(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	const n = 100
	for i := range n {
		require.NoError(t, a.Send(ctx, fmt.Append(nil, i)))
	}
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "Close is idempotent")
	for i := range n {
		p, err := b.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(p))
	}
	_, err := b.Receive(ctx)
	require.ErrorIs(t, err, io.EOF)
	await(t, b.Gone())
	require.ErrorIs(t, b.Send(ctx, nil), transport.ErrPeerGone)
	require.NoError(t, b.Close())
}

// A Send that blocks because the peer does not receive ends with its context. Its
// message does not arrive; those sent before and after it do.
func testFullBuffer(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	payload := make([]byte, 4000)
	var sent atomic.Uint64
	short, cancel := context.WithCancel(ctx)
	blocked := make(chan error)
	go func() {
		for {
			if err := a.Send(short, payload); err != nil {
				blocked <- err
				return
			}
			sent.Add(1)
		}
	}()
	fill(t, a)
	cancel()
	require.ErrorIs(t, await(t, blocked), context.Canceled)
	assert.Less(t, sent.Load()*uint64(len(payload)), uint64(e.most), "more than the documented memory")

	received := make(chan uint64)
	go func() {
		for n := uint64(0); ; n++ {
			p, err := b.Receive(ctx)
			if err != nil || string(p) == "end" {
				assert.NoError(t, err)
				received <- n
				return
			}
			if len(p) == 0 {
				n-- // fill's
			}
		}
	}()
	require.NoError(t, a.Send(ctx, []byte("end")))
	require.NoError(t, a.Flush(ctx))
	assert.Equal(t, sent.Load(), await(t, received))
}

func testCancelledLarge(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	for _, next := range []int{3, 2 << 20} {
		sendCancelled(t, a, beyondBuffers)
		p := pattern(next)
		join := meanwhile(func() {
			assert.NoError(t, a.Send(ctx, p))
			assert.NoError(t, a.Flush(ctx))
		})
		got, err := b.Receive(ctx)
		require.NoError(t, err)
		require.True(t, string(got) == string(p), "%d bytes instead of %d", len(got), next)
		join()
	}
}

// A close is graceful also after a message that its sender gave up.
func testCancelledLargeClose(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	short, cancel := context.WithCancel(ctx)
	blocked := make(chan error)
	go func() { blocked <- a.Send(short, make([]byte, beyondBuffers)) }()
	// The first fragments have been sent when another Send blocks.
	fill(t, a)
	cancel()
	require.ErrorIs(t, await(t, blocked), context.Canceled)
	received := make(chan error)
	go func() {
		var err error
		for p := []byte(nil); err == nil && len(p) == 0; { // fill's
			p, err = b.Receive(ctx)
		}
		received <- err
	}()
	require.NoError(t, a.Close())
	require.ErrorIs(t, await(t, received), io.EOF)
}

// sender is a Conn or a Client.
type sender interface {
	Send(ctx context.Context, p []byte) error
}

// watched is a context that tells when a call begins to wait for its end, or, where a
// socket is the carrier, that it may have to.
type watched struct {
	context.Context
	once    sync.Once
	waiting chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waiting) })
	return w.Context.Done()
}

// sendCancelled sends a message for which there is no room, and ends its context
// while Send waits.
func sendCancelled(t *testing.T, c sender, size int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context30(t))
	w := &watched{Context: ctx, waiting: make(chan struct{})}
	sent := make(chan error, 1)
	go func() { sent <- c.Send(w, make([]byte, size)) }()
	await(t, w.waiting)
	cancel()
	require.ErrorIs(t, await(t, sent), context.Canceled)
}

// fill waits until a Send of another goroutine blocks for lack of room. It may
// send empty messages until then.
func fill(t *testing.T, c sender) {
	t.Helper()
	ctx := context30(t)
	for {
		// It waits for its turn after the blocked one.
		short, cancel := context.WithTimeout(ctx, 50*tick)
		err := c.Send(short, nil)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, ctx.Err())
			return
		}
	}
}

func testReceiveContext(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx, cancel := context.WithCancel(context30(t))
	waiting := make(chan error)
	go func() {
		_, err := b.Receive(ctx)
		waiting <- err
	}()
	cancel()
	require.ErrorIs(t, await(t, waiting), context.Canceled)

	// Whatever waits stays, and is not lost.
	const n = 50
	for i := range n {
		require.NoError(t, a.Send(context30(t), []byte(strconv.Itoa(i))))
		require.NoError(t, a.Flush(context30(t)))
		_, err := b.Receive(ctx)
		require.ErrorIs(t, err, context.Canceled)
	}
	for i := range n {
		p, err := b.Receive(context30(t))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(p))
	}
}

// Close ends calls that wait, of either kind.
func testCloseUnblocks(t *testing.T, e *env) {
	a, _ := conns(t, e)
	ctx := context30(t)
	ended := make(chan error, 3)
	go func() {
		_, err := a.Receive(ctx)
		ended <- err
	}()
	if !e.coalesces() { // there Close gives what is coalesced 5 seconds
		for range 2 {
			go func() { ended <- a.Send(ctx, make([]byte, beyondBuffers)) }()
		}
		fill(t, a)
	} else {
		ended <- transport.ErrClosed
		ended <- transport.ErrClosed
	}
	require.NoError(t, a.Close())
	for range 3 {
		require.ErrorIs(t, await(t, ended), transport.ErrClosed)
	}
}

// carried is what a connection has carried, whatever its carrier.
func carried(s transport.Stats) transport.Stats {
	s.Carrier = ""
	return s
}

// What has been received is counted, also when no Receive waits for more.
func testConnStats(t *testing.T, e *env) {
	a, b := conns(t, e)
	ctx := context30(t)
	for i := range uint64(3) {
		require.NoError(t, a.Send(ctx, []byte("12345")))
		require.NoError(t, a.Flush(ctx))
		_, err := b.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, transport.Stats{SentMessages: i + 1, SentBytes: 5 * (i + 1)}, carried(a.Stats()))
		assert.Equal(t, transport.Stats{ReceivedMessages: i + 1, ReceivedBytes: 5 * (i + 1)}, carried(b.Stats()))
	}
}

func testListenerClose(t *testing.T, e *env) {
	ctx := context30(t)
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = l.Accept(ended)
	require.ErrorIs(t, err, context.Canceled)
	waiting := make(chan error)
	go func() {
		_, err := l.Accept(ctx)
		waiting <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, await(t, waiting), transport.ErrClosed)
	_, err = l.Accept(ctx)
	require.ErrorIs(t, err, transport.ErrClosed)
	require.NoError(t, l.Close())
	_, err = e.Dial(ctx, e.endpoint, e.config())
	require.ErrorIs(t, err, transport.ErrNoHost)
}
