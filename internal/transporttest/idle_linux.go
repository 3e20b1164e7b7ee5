package transporttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// idleTests measure the CPU time of two processes that do nothing.
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
	// A tick is 10 ms. A spinning goroutine costs 150 in each period; what is left of
	// the talk, such as garbage collection, costs some in the first.
	const most = 2
	var ofHost, ofClient int
	for end := time.Now().Add(limit); ; {
		host1, client1 := cost()
		<-time.After(1500 * time.Millisecond)
		host2, client2 := cost()
		ofHost, ofClient = host2-host1, client2-client1
		if ofHost <= most && ofClient <= most || time.Now().After(end) {
			break
		}
	}
	assert.LessOrEqual(t, ofHost, most, "ticks of the host")
	assert.LessOrEqual(t, ofClient, most, "ticks of the client")
}
