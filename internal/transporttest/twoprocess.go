package transporttest

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// processTests have two real processes.
var processTests = []test{
	{"KilledSender", testKilledSender},
	{"KilledClient", testKilledClient},
	{"KilledHostIsFoundAgain", testKilledHost},
	{"KilledHostsLossIsCounted", testKilledHostCounts},
	{"TerminatedHostsLoseNothing", testTerminatedHosts},
	{"ManyConnections", testManyConnections},
}

func init() {
	parts["sender"] = numbersSender
	parts["echo"] = echoHost
	parts["stuck"] = stuckHost
	parts["terminated"] = terminatedHost
	parts["crowd"] = crowd
}

// numbersSender sends numbered messages, says so, and waits to be killed.
func numbersSender(e *env, argument string) {
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

// Everything for which Send and Flush returned nil arrives although the sender's
// process is killed before it is read, and its end is not reported as a close.
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
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config())
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

// stuckHost never finishes with the first message.
func stuckHost(e *env, _ string) {
	_, err := e.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {
		say("handling")
		select {}
	}), e.config())
	must(err)
	say("ready")
	hear()
}

// What a client has sent to a host that is killed is reported, every message of it.
func testKilledHostCounts(t *testing.T, e *env) {
	ctx := context30(t)
	p := e.start(t, "stuck", "")
	p.expect(t, "ready")
	c := client(t, e.Strings, e.config())
	const n = 1000
	for i := range n {
		require.NoError(t, c.Send(ctx, strconv.Itoa(i)))
	}
	p.expect(t, "handling")
	p.kill(t)
	require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
	var lost *transport.DisconnectedError
	require.ErrorAs(t, c.Send(ctx, "not sent"), &lost)
	assert.EqualValues(t, n, lost.Unconfirmed)
	assert.True(t, lost.NotSent)
}

// terminatedHost shuts down gracefully at SIGTERM, and says how much it has handled.
func terminatedHost(e *env, _ string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	handled := 0
	h, err := e.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {
		if handled++; handled == 300 {
			say("busy")
		}
	}), e.config())
	must(err)
	say("ready")
	<-ctx.Done()
	must(h.Shutdown(context.Background()))
	say("handled %d", handled)
	hear()
}

// Hosts that are terminated one after the other handle together what a client sends
// meanwhile without a pause.
func testTerminatedHosts(t *testing.T, e *env) {
	ctx := context30(t)
	p := e.start(t, "terminated", "")
	p.expect(t, "ready")
	c := client(t, e.Strings, e.config())
	stop := make(chan struct{})
	var sent, ends int
	join := meanwhile(func() { sent, ends = sendOn(ctx, t, c, stop) })
	handled := 0
	terminate := func() {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		n, err := strconv.Atoi(p.expect(t, "handled"))
		require.NoError(t, err)
		handled += n
	}
	const rounds = 3
	for range rounds {
		p.expect(t, "busy")
		terminate()
		p = e.start(t, "terminated", "")
		p.expect(t, "ready")
	}
	p.expect(t, "busy")
	close(stop)
	join()
	require.NoError(t, c.Close())
	terminate()
	assert.Equal(t, sent, handled)
	assert.Equal(t, rounds, ends)
}

// crowd is many clients at once.
func crowd(e *env, argument string) {
	ctx := context.Background()
	size, err := strconv.Atoi(argument)
	must(err)
	clients := make([]*transport.Client[[]byte], size)
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

func testManyConnections(t *testing.T, e *env) {
	size := e.repeat(1000)
	if e.mach {
		size = 100 // launchd looks the name up for each
	}
	h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}, e.config(func(c *transport.Config) { c.HandshakeTimeout = limit }))
	p := e.start(t, "crowd", strconv.Itoa(size))
	p.expect(t, "connected")
	require.Eventually(t, func() bool { return h.Stats().Connections == size }, limit, tick)
	p.tell(t, "speak")
	p.expect(t, "answered")
	p.tell(t, "close")
	p.expect(t, "closed")
	require.Eventually(t, func() bool { return h.Stats().Connections == 0 }, limit, tick)
	s := h.Stats()
	assert.EqualValues(t, size, s.Accepted)
	assert.EqualValues(t, size, s.ReceivedMessages)
}
