package transporttest

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// processTests have two real processes.
var processTests = []test{
	{"KilledSender", testKilledSender},
	{"KilledHostIsFoundAgain", testKilledHost},
	{"ThousandConnections", testThousand},
	{"IdleCostsNothing", testIdle},
}

func init() {
	parts["sender"] = sender
	parts["echo"] = echoHost
	parts["crowd"] = crowd
	parts["idle"] = idleClient
}

// sender sends numbered messages, says so, and waits to be killed.
func sender(e *env, argument string) {
	n, err := strconv.Atoi(argument)
	must(err)
	c, err := e.Dial(context.Background(), e.endpoint, e.config())
	must(err)
	for i := range n {
		must(c.Send(context.Background(), fmt.Append(nil, i)))
	}
	must(c.Flush(context.Background()))
	say("sent")
	hear()
}

// Everything that Send and Flush said yes to arrives although the sender's
// process is killed before it is read, and its end is not taken for a close.
func testKilledSender(t *testing.T, e *env) {
	const n = 300
	ctx := context30(t)
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	defer l.Close()
	p := e.start(t, "sender", strconv.Itoa(n))
	c, err := l.Accept(ctx)
	require.NoError(t, err)
	defer c.Close()
	p.expect(t, "sent")
	p.kill(t)
	for i := range n {
		b, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(b))
	}
	for range 2 {
		_, err = c.Receive(ctx)
		require.ErrorIs(t, err, transport.ErrPeerGone)
		require.NotErrorIs(t, err, io.EOF)
	}
	await(t, c.Gone())
	require.ErrorIs(t, c.Send(ctx, nil), transport.ErrPeerGone)
}

// echoHost answers, and can be told to say how many connections it has.
func echoHost(e *env, _ string) {
	h, err := e.Bytes.NewHost(e.endpoint, nil, func(m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}, e.config())
	must(err)
	say("ready")
	for {
		hear()
		say("connections %d %d", h.Stats().Connections, processTicks())
	}
}

// A host that is killed and started again is found by the client that it had.
func testKilledHost(t *testing.T, e *env) {
	ctx := context30(t)
	p := e.start(t, "echo", "")
	p.expect(t, "ready")
	c := client(t, e.Bytes, e.config())
	first := c.Peer().Token()
	for round := range 3 {
		word := fmt.Sprint("round ", round)
		// Whatever was lost with the last one has been told by now.
		require.NoError(t, c.Send(ctx, []byte(word)))
		b, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, word, string(b))

		p.kill(t)
		_, err = c.Receive(ctx)
		require.ErrorIs(t, err, transport.ErrDisconnected)
		require.ErrorIs(t, err, transport.ErrPeerGone)
		p = e.start(t, "echo", "")
		p.expect(t, "ready")
	}
	require.NoError(t, c.Send(ctx, []byte("last")))
	_, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.NotEqual(t, first, c.Peer().Token(), "it is another process")
}

const crowdSize = 1000

// crowd is many clients at once.
func crowd(e *env, _ string) {
	ctx := context.Background()
	clients := make([]Client[[]byte], crowdSize)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c, err := e.Bytes.NewClient(ctx, e.endpoint, nil, e.config(func(c *transport.Config) { c.HandshakeTimeout = limit }))
			must(err)
			clients[i] = c
		})
	}
	all.Wait()
	say("connected")
	hear()
	for i, c := range clients {
		all.Go(func() {
			must(c.Send(ctx, fmt.Append(nil, i)))
			b, err := c.Receive(ctx)
			must(err)
			if string(b) != strconv.Itoa(i) {
				must(fmt.Errorf("client %d got the answer %q", i, b))
			}
		})
	}
	all.Wait()
	say("answered")
	hear()
	for _, c := range clients {
		must(c.Close())
	}
	say("closed")
	hear()
}

func testThousand(t *testing.T, e *env) {
	h := host(t, e.Bytes, func(m transport.Message[[]byte]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}, e.config(func(c *transport.Config) { c.HandshakeTimeout = limit }))
	p := e.start(t, "crowd", "")
	p.expect(t, "connected")
	require.Eventually(t, func() bool { return h.Stats().Connections == crowdSize }, limit, tick)
	p.tell(t, "speak")
	p.expect(t, "answered")
	p.tell(t, "close")
	p.expect(t, "closed")
	require.Eventually(t, func() bool { return h.Stats().Connections == 0 }, limit, tick)
	s := h.Stats()
	assert.EqualValues(t, crowdSize, s.Accepted)
	assert.EqualValues(t, crowdSize, s.ReceivedMessages)
}

// idleClient talks to a host for a moment and then does nothing. Told to, it
// says what it has cost so far.
func idleClient(e *env, _ string) {
	ctx := context.Background()
	c, err := e.Bytes.NewClient(ctx, e.endpoint, nil, e.config())
	must(err)
	for range 2000 {
		must(c.Send(ctx, []byte("x")))
		_, err = c.Receive(ctx)
		must(err)
	}
	go c.Receive(ctx) // waits, as a client may
	say("ready")
	for {
		hear()
		say("cost %d", processTicks())
	}
}

// A host and a client with nothing to do use no CPU. This test alone has to let
// time pass: it is what it measures.
func testIdle(t *testing.T, e *env) {
	h := e.start(t, "echo", "")
	h.expect(t, "ready")
	c := e.start(t, "idle", "")
	c.expect(t, "ready")
	cost := func() (host, client int) {
		h.tell(t, "cost?")
		c.tell(t, "cost?")
		var n int
		_, err := fmt.Sscan(h.expect(t, "connections"), &n, &host)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = fmt.Sscan(c.expect(t, "cost"), &client)
		require.NoError(t, err)
		return host, client
	}
	// What the talk has left, such as garbage collection, may run out first.
	<-time.After(200 * time.Millisecond)
	host1, client1 := cost()
	<-time.After(1500 * time.Millisecond)
	host2, client2 := cost()
	// A tick is 10 ms; a spinning goroutine would cost 150.
	assert.LessOrEqual(t, host2-host1, 2, "ticks of the host")
	assert.LessOrEqual(t, client2-client1, 2, "ticks of the client")
}
