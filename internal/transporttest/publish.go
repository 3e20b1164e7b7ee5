package transporttest

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// publishTests are about Host.Publish.
var publishTests = []test{
	{"Publish", testPublish},
	{"PublishErrors", testPublishErrors},
	{"PublishBeyondAClientsLimit", testPublishLimit},
}

// slowClientTests publish to a client that does not receive. They are not for a
// simulated kernel, which holds so much that they take seconds.
var slowClientTests = []test{
	{"PublishWaits", testPublishWaits},
	{"PublishDropsOldest", testPublishDrops},
	{"PublishDisconnects", testPublishDisconnects},
	{"ShutdownSendsWhatIsPublished", testPublishShutdown},
}

// outbox is how many published messages wait for one client, as documented.
const outbox = 256

// number is a message that is a number.
func number(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

// receiveNumbers receives the numbers from first to last.
func receiveNumbers(t *testing.T, c *transport.Client[[]byte], first, last int) {
	t.Helper()
	ctx := context30(t)
	for i := first; i <= last; i++ {
		p, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, number(i), p)
	}
}

// large is the size in bytes of a message that does not fit in what is between two
// sides of which one does not receive.
func (v variant) large() int { return v.most + 1<<20 }

// slow makes a host with a client for which so many published messages wait, the
// numbers from 0: it receives none, and the message before them does not fit in what
// is between host and client. receiveLarge receives that one.
func slow(t *testing.T, e *env, waiting int) (h *transport.Host[[]byte], c *transport.Client[[]byte], s *transport.Session[[]byte]) {
	t.Helper()
	h = serve(t, e.Bytes, service(func(context.Context, transport.Message[[]byte]) {}),
		e.config(func(c *transport.Config) { c.MaxMessageSize = e.large() }))
	c = client(t, e.Bytes, e.config())
	connected(t, h, 1)
	for s = range h.Sessions() {
	}
	ctx := context30(t)
	require.NoError(t, h.Publish(ctx, make([]byte, e.large()), transport.Wait))
	for i := range waiting {
		// The first waits until the large one is on its way.
		require.NoError(t, h.Publish(ctx, number(i), transport.Wait))
	}
	return h, c, s
}

func receiveLarge(t *testing.T, e *env, c *transport.Client[[]byte]) {
	t.Helper()
	p, err := c.Receive(context30(t))
	require.NoError(t, err)
	require.Len(t, p, e.large())
}

// What is published reaches every client, in order.
func testPublish(t *testing.T, e *env) {
	const clients, n = 4, 1000
	h := serve(t, e.Bytes, service(func(context.Context, transport.Message[[]byte]) {}), e.config())
	ctx := context30(t)
	require.NoError(t, h.Publish(ctx, nil, transport.Wait), "to no client")
	var receivers sync.WaitGroup
	for range clients {
		c := client(t, e.Bytes, e.config())
		receivers.Go(func() {
			for i := range n {
				p, err := c.Receive(ctx)
				if !assert.NoError(t, err) || !assert.Equal(t, number(i), p) {
					return
				}
			}
		})
	}
	connected(t, h, clients)
	buf := make([]byte, 4)
	for i := range n {
		copy(buf, number(i)) // it is the caller's again after each Publish
		require.NoError(t, h.Publish(ctx, buf, transport.Wait))
	}
	receivers.Wait()
	assert.Zero(t, h.Stats().Dropped)
}

func testPublishErrors(t *testing.T, e *env) {
	const most = 8 // bytes of a Point
	h := serve(t, e.Points, service(func(context.Context, transport.Message[Point]) {}),
		e.config(func(c *transport.Config) { c.MaxMessageSize = most }))
	c, ctx := client(t, e.Points, e.config()), context30(t)
	connected(t, h, 1)
	fine := Point{1, 2}
	for _, policy := range []transport.SlowPolicy{transport.Wait - 1, transport.Disconnect + 1} {
		require.ErrorIs(t, h.Publish(ctx, fine, policy), transport.ErrConfig)
	}
	err := h.Publish(ctx, Point{3, 3}, transport.Wait)
	require.ErrorIs(t, err, transport.ErrEncode)
	require.ErrorIs(t, err, errDiagonal)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, h.Publish(ended, fine, transport.DropOldest), context.Canceled)
	require.NoError(t, h.Publish(ctx, fine, transport.Disconnect))
	got, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, fine, got)
	require.Eventually(t, func() bool { return h.Stats().SentMessages == 1 }, limit, tick)
	require.NoError(t, h.Shutdown(ctx))
	require.ErrorIs(t, h.Publish(ctx, fine, transport.Wait), transport.ErrClosed)

	e = newEnv(t, e.Layer, e.variant)
	bytes := serve(t, e.Bytes, service(func(context.Context, transport.Message[[]byte]) {}),
		e.config(func(c *transport.Config) { c.MaxMessageSize = most }))
	require.ErrorIs(t, bytes.Publish(ctx, make([]byte, most+1), transport.Wait), transport.ErrMessageTooLarge)
	require.NoError(t, bytes.Publish(ctx, make([]byte, most), transport.Wait))
	require.NoError(t, bytes.Close())
	require.ErrorIs(t, bytes.Publish(ctx, nil, transport.Wait), transport.ErrClosed)
}

// A client whose limit is lower does not get the message; the others do.
func testPublishLimit(t *testing.T, e *env) {
	const size = 100
	failures := make(chan error, 1)
	h := serve(t, e.Bytes, service(func(context.Context, transport.Message[[]byte]) {}),
		e.config(func(c *transport.Config) { c.OnError = func(err error) { failures <- err } }))
	small := client(t, e.Bytes, e.config(func(c *transport.Config) { c.MaxMessageSize = size }))
	large := client(t, e.Bytes, e.config())
	connected(t, h, 2)
	ctx := context30(t)
	require.NoError(t, h.Publish(ctx, make([]byte, size+1), transport.Disconnect))
	require.NoError(t, h.Publish(ctx, number(1), transport.Disconnect))
	require.ErrorIs(t, await(t, failures), transport.ErrMessageTooLarge)
	receiveNumbers(t, small, 1, 1)
	p, err := large.Receive(ctx)
	require.NoError(t, err)
	require.Len(t, p, size+1)
	receiveNumbers(t, large, 1, 1)
	assert.EqualValues(t, 1, h.Stats().Dropped)
}

// With Wait nothing is lost: Publish waits for the slow client, not longer than its
// context, and the others have the message meanwhile.
func testPublishWaits(t *testing.T, e *env) {
	h, c, s := slow(t, e, outbox)
	ctx := context30(t)
	quick := client(t, e.Bytes, e.config())
	connected(t, h, 2)
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Publish(short, number(1000), transport.Wait) }()
	receiveNumbers(t, quick, 1000, 1000)
	assert.Empty(t, ended)
	cancel()
	require.ErrorIs(t, await(t, ended), context.Canceled)

	go func() { ended <- h.Publish(ctx, number(outbox), transport.Wait) }()
	receiveNumbers(t, quick, outbox, outbox)
	assert.Empty(t, ended)
	receiveLarge(t, e, c)
	require.NoError(t, await(t, ended), "there is room")
	receiveNumbers(t, c, 0, outbox) // and not 1000
	assert.Zero(t, s.Stats().Dropped)
}

// With DropOldest Publish does not wait: a slow client gets the newest.
func testPublishDrops(t *testing.T, e *env) {
	const n = 1000
	h, c, s := slow(t, e, 1)
	ctx := context30(t)
	for i := 1; i < n; i++ {
		require.NoError(t, h.Publish(ctx, number(i), transport.DropOldest))
	}
	assert.EqualValues(t, n-outbox, s.Stats().Dropped)
	assert.EqualValues(t, n-outbox, h.Stats().Dropped)
	receiveLarge(t, e, c)
	receiveNumbers(t, c, n-outbox, n-1)
}

// With Disconnect a slow client is disconnected, and the others stay.
func testPublishDisconnects(t *testing.T, e *env) {
	h, c, s := slow(t, e, outbox)
	ctx := context30(t)
	quick := client(t, e.Bytes, e.config())
	connected(t, h, 2)
	require.NoError(t, h.Publish(ctx, number(1000), transport.Disconnect))
	await(t, s.Context().Done())
	p, err := c.Receive(ctx)
	dropped := uint64(outbox + 1)
	if err == nil { // the large one was not given up before there was room for it
		require.Len(t, p, e.large())
		dropped--
		_, err = c.Receive(ctx)
	}
	require.ErrorIs(t, err, transport.ErrDisconnected)
	var closed *transport.CloseError
	require.ErrorAs(t, err, &closed)
	require.NotEmpty(t, closed.Reason)
	receiveNumbers(t, quick, 1000, 1000)

	require.Eventually(t, func() bool { // it is back
		for s := range h.Sessions() {
			if s.ID() == 3 {
				return true
			}
		}
		return false
	}, limit, tick)
	require.Eventually(t, func() bool { return s.Stats().Dropped == dropped }, limit, tick)
	require.NoError(t, h.Publish(ctx, number(1001), transport.Disconnect))
	receiveNumbers(t, c, 1001, 1001)
	receiveNumbers(t, quick, 1001, 1001)
}

// Shutdown sends what is published before it ends.
func testPublishShutdown(t *testing.T, e *env) {
	h, c, s := slow(t, e, outbox)
	ctx := context30(t)
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(ctx) }()
	require.Eventually(t, func() bool { // which is refused for another reason before
		return errors.Is(h.Publish(ctx, make([]byte, e.large()+1), transport.Wait), transport.ErrClosed)
	}, limit, tick)
	receiveLarge(t, e, c)
	receiveNumbers(t, c, 0, outbox-1)
	require.NoError(t, await(t, ended))
	assert.Zero(t, s.Stats().Dropped)
	_, err := c.Receive(ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)
}
