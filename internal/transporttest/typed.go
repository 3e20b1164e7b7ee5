package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// typedTests are about Host and Client, over every variant.
var typedTests = []test{
	{"OrderAndContent", testOrder},
	{"ManyClientsEachInOrder", testClientsInOrder},
	{"SendsConcurrently", testConcurrentSends},
	{"Reply", testReply},
	{"ReplyAfterHandler", testReplyLater},
	{"Sizes", testSizes},
	{"TooLarge", testTooLarge},
	{"PeerIsKernelVerified", testPeer},
	{"Stats", testStats},
	{"Codecs", testCodecs},
	{"DoesNotEncode", testEncodeError},
	{"CancelledContext", testCancelled},
	{"UseAfterClose", testAfterClose},
	{"ShutdownDrains", testShutdownDrains},
	{"ShutdownDrainsNewClients", testShutdownNew},
	{"ShutdownGivesEndpointUp", testShutdownReleases},
	{"CloseTellsClients", testCloseTells},
	{"CloseReportsLoss", testCloseReports},
	{"ClientFindsNextHost", testNextHost},
	{"ReceiveAcrossHosts", testReceiveAcrossHosts},
	{"GracefulEndsAreNoErrors", testQuiet},
	{"EndpointInUse", testInUse},
	{"NoHost", testNoHost},
	{"RefusedByHost", testRefusedByHost},
	{"RefusedByClient", testRefusedByClient},
	{"ReceiverPriority", testPriority},
}

// host makes a host whose end is the test's end.
func host[T any](t *testing.T, of Typed[T], handler func(context.Context, transport.Message[T]), cfg *transport.Config) Host {
	t.Helper()
	h, err := of.NewHost(of.endpoint, service(handler), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.Close()) })
	return h
}

// service is one that handles messages and no more.
func service[T any](handler func(context.Context, transport.Message[T])) transport.Service[T] {
	return transport.Service[T]{Handle: handler}
}

// client makes a client whose end is the test's end.
func client[T any](t *testing.T, of Typed[T], cfg *transport.Config) *transport.Client[T] {
	t.Helper()
	c, err := of.NewClient(context30(t), of.endpoint, nil, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // may report a loss that the test has caused
	return c
}

// meanwhile runs f in a goroutine and returns what waits for its end.
func meanwhile(f func()) (join func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return func() { <-done }
}

// await receives from a channel, unless the test has hung.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	hung := time.NewTimer(limit)
	defer hung.Stop()
	select {
	case v = <-from:
	case <-hung.C:
		require.FailNow(t, "nothing came")
	}
	return v
}

func testOrder(t *testing.T, e *env) {
	const n = 10_000
	got := make(chan string, n)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { got <- m.Body }, e.config())
	c := client(t, e.Strings, e.config())
	assert.Equal(t, e.endpoint, c.Endpoint())
	ctx := context30(t)
	for i := range n {
		require.NoError(t, c.Send(ctx, fmt.Sprint("message ", i)))
	}
	require.NoError(t, c.Flush(ctx))
	for i := range n {
		require.Equal(t, fmt.Sprint("message ", i), await(t, got))
	}
	require.NoError(t, c.Close())
	assert.Empty(t, got, "something arrived twice")
}

func testClientsInOrder(t *testing.T, e *env) {
	const clients, n = 8, 500
	type one struct{ from, number int }
	got := make(chan one, clients*n)
	host(t, e.Notes, func(_ context.Context, m transport.Message[Note]) { got <- one{len(m.Body.Tags), m.Body.Number} }, e.config())
	var senders sync.WaitGroup
	for i := range clients {
		c := client(t, e.Notes, e.config())
		senders.Go(func() {
			for number := range n {
				assert.NoError(t, c.Send(context30(t), Note{Number: number, Tags: make([]string, i)}))
			}
			assert.NoError(t, c.Flush(context30(t)))
		})
	}
	next := make([]int, clients)
	for range clients * n {
		m := await(t, got)
		require.Equal(t, next[m.from], m.number, "client %d", m.from)
		next[m.from]++
	}
	senders.Wait()
}

// Messages from several goroutines, small ones and fragmented ones, arrive whole and
// once.
func testConcurrentSends(t *testing.T, e *env) {
	const senders, n = 6, 30
	got := make(chan string, senders*n)
	host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		for _, b := range m.Body {
			if b != m.Body[0] {
				got <- "mixed up"
				return
			}
		}
		got <- fmt.Sprint(m.Body[0], " ", len(m.Body))
	}, e.config())
	c := client(t, e.Bytes, e.config())
	size := func(sender, i int) int { return 1 + (i%3)*(70_000*(sender+1)) }
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range n {
				p := make([]byte, size(s, i))
				for j := range p {
					p[j] = byte(s)
				}
				assert.NoError(t, c.Send(context30(t), p))
			}
			assert.NoError(t, c.Flush(context30(t)))
		})
	}
	want := map[string]int{}
	for s := range senders {
		for i := range n {
			want[fmt.Sprint(s, " ", size(s, i))]++
		}
	}
	have := map[string]int{}
	for range senders * n {
		have[await(t, got)]++
	}
	group.Wait()
	assert.Equal(t, want, have)
}

func testReply(t *testing.T, e *env) {
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) {
		for i := range len(m.Body) {
			assert.NoError(t, m.Reply(context.Background(), m.Body[:i+1]))
		}
	}, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	for range 100 {
		require.NoError(t, c.Send(ctx, "abc"))
		for _, want := range []string{"a", "ab", "abc"} {
			got, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := c.Receive(ended)
	assert.ErrorIs(t, err, context.Canceled)
}

func testReplyLater(t *testing.T, e *env) {
	later := make(chan transport.Message[string], 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { later <- m }, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, "question"))
	m := await(t, later)
	require.NoError(t, m.Reply(ctx, "answer"))
	got, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "answer", got)

	require.NoError(t, c.Close())
	var last error
	for last == nil { // until the host has noticed
		require.NoError(t, ctx.Err())
		last = m.Reply(ctx, "too late")
	}
	assert.True(t, errors.Is(last, transport.ErrPeerGone) || errors.Is(last, transport.ErrClosed), "%v", last)
}

func testSizes(t *testing.T, e *env) {
	sizes := []int{0, 1, 7, 8, 9, 4095, 4096, 16<<10 - 4, 16 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1,
		64<<10 + 248, 64<<10 + 256, 128<<10 - 20, 128 << 10, 256 << 10, 1 << 20, 3<<20 + 17}
	host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	for _, size := range sizes {
		p := pattern(size)
		require.NoError(t, c.Send(ctx, p))
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		require.True(t, string(p) == string(got), "%d bytes came back as %d others", size, len(got))
	}
}

// pattern is bytes without repetition.
func pattern(size int) []byte {
	p := make([]byte, size)
	x := uint32(size) + 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return p
}

func testTooLarge(t *testing.T, e *env) {
	const size = 1000
	got := make(chan int, 4)
	small := func(c *transport.Config) { c.MaxMessageSize = size }
	for _, limited := range []string{"host", "client"} {
		t.Run(limited, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			hostConfig, clientConfig := e.config(small), e.config()
			if limited == "client" {
				hostConfig, clientConfig = clientConfig, hostConfig
			}
			host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) { got <- len(m.Body) }, hostConfig)
			c, ctx := client(t, e.Bytes, clientConfig), context30(t)
			require.ErrorIs(t, c.Send(ctx, make([]byte, size+1)), transport.ErrMessageTooLarge)
			require.NoError(t, c.Send(ctx, make([]byte, size)))
			require.Equal(t, size, await(t, got))
		})
	}
}

func testPeer(t *testing.T, e *env) {
	got := make(chan *peer.Identity, 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { got <- m.Session.Peer() }, e.config())
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "who am I?"))
	self := e.self(t)
	assert.Equal(t, self.Token(), await(t, got).Token())
	require.NotNil(t, c.Peer())
	assert.Equal(t, self.Token(), c.Peer().Token())
}

func testStats(t *testing.T, e *env) {
	const n = 1000
	done := make(chan struct{}, n)
	h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body[:1]))
		done <- struct{}{}
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	for range n {
		require.NoError(t, c.Send(ctx, make([]byte, 3)))
		_, err := c.Receive(ctx)
		require.NoError(t, err)
	}
	for range n {
		await(t, done)
	}
	check := func() {
		s := h.Stats()
		assert.EqualValues(t, n, s.ReceivedMessages)
		assert.Zero(t, s.DecodeErrors)
		assert.Zero(t, s.Refused)
		assert.EqualValues(t, n, s.SentMessages)
		assert.EqualValues(t, 3*n, s.ReceivedBytes)
		assert.EqualValues(t, n, s.SentBytes)
		assert.EqualValues(t, 1, s.Accepted)
		assert.Equal(t, transport.Stats{SentMessages: n, SentBytes: 3 * n, ReceivedMessages: n, ReceivedBytes: n}, carried(c.Stats()))
	}
	// The host's receiver counts before it waits again: give it the chance.
	require.Eventually(t, func() bool { return h.Stats().ReceivedMessages == n }, limit, tick)
	check()
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return h.Stats().Connections == 0 }, limit, tick)
	check()
}
