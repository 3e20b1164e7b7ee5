package transporttest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/transport"
)

// testInside: a client and a host in one process use no descriptors, and no memory
// of each other's; one that is to use the kernel reaches the same host by it.
func testInside(t *testing.T, e *env) {
	if !e.inside {
		return
	}
	got := make(chan []byte, 2)
	h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		m.Body[0]++ // it is the handler's own
		got <- append([]byte{}, m.Body...)
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}, e.config())
	before := leaktest.Descriptors()
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	assert.Empty(t, leaktest.More(before, leaktest.Descriptors()))
	sent := []byte("message")
	require.NoError(t, c.Send(ctx, sent))
	assert.Equal(t, "nessage", string(await(t, got)))
	back, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "nessage", string(back))
	assert.Equal(t, "message", string(sent))

	far := client(t, e.Bytes, e.config(func(c *transport.Config) { c.NoInProcess = true }))
	if len(before) > 0 {
		assert.NotEmpty(t, leaktest.More(before, leaktest.Descriptors()))
	}
	require.NoError(t, far.Send(ctx, sent))
	assert.Equal(t, "nessage", string(await(t, got)))
	assert.EqualValues(t, 2, h.Stats().Accepted)
	assert.Equal(t, 2, h.Stats().Connections)
}

// A host that is to use the kernel is not found inside.
func testNotInside(t *testing.T, e *env) {
	if !e.inside {
		return
	}
	handled := make(chan string, 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { handled <- m.Body },
		e.config(func(c *transport.Config) { c.NoInProcess = true }))
	before := leaktest.Descriptors()
	c := client(t, e.Strings, e.config())
	if len(before) > 0 {
		assert.NotEmpty(t, leaktest.More(before, leaktest.Descriptors()))
	}
	require.NoError(t, c.Send(context30(t), "by the kernel"))
	assert.Equal(t, "by the kernel", await(t, handled))
}
