package transporttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// idleTests measure what two processes cost that do nothing.
var idleTests = []test{{"IdleCostsNothing", testIdle}}

func init() { parts["idle"] = idleClient }

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
