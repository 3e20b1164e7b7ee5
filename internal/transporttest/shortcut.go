package transporttest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// testShortcut: within the process Send is a call of the handler, of the very
// value, and whoever does not want that, or has another type, goes through the
// kernel to the same host.
func testShortcut(t *testing.T, e *env) {
	if !e.shortcut {
		return
	}
	var got []byte // the race detector sees whether Send waits for the handler
	h := host(t, e.Bytes, func(m transport.Message[[]byte]) {
		if m.Body[0] == 'r' { // perhaps another connection's
			assert.NoError(t, m.Reply(context.Background(), m.Body))
			return
		}
		got = m.Body
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	sent := []byte("a message")
	require.NoError(t, c.Send(ctx, sent))
	require.Same(t, &sent[0], &got[0], "the handler gets the slice itself")
	assert.Zero(t, h.Stats().Accepted)

	// Not so a reply: the handler has its slice back when Reply returns.
	sent = []byte("reply")
	require.NoError(t, c.Send(ctx, sent))
	back, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "reply", string(back))
	require.NotSame(t, &sent[0], &back[0])

	other := client(t, e.Strings, e.config())
	require.NoError(t, other.Send(ctx, "reply, please"))
	text, err := other.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "reply, please", text)
	assert.EqualValues(t, 1, h.Stats().Accepted)

	far := client(t, e.Bytes, e.config(func(c *transport.Config) { c.NoInProcess = true }))
	require.NoError(t, far.Send(ctx, sent))
	_, err = far.Receive(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 2, h.Stats().Accepted)
}

// A host that does not want the shortcut is not found by it.
func testNoShortcut(t *testing.T, e *env) {
	if !e.shortcut {
		return
	}
	handled := make(chan string, 1)
	h := host(t, e.Strings, func(m transport.Message[string]) { handled <- m.Body },
		e.config(func(c *transport.Config) { c.NoInProcess = true }))
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "by the kernel"))
	assert.Equal(t, "by the kernel", await(t, handled))
	assert.EqualValues(t, 1, h.Stats().Accepted)
}
