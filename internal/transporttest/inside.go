package transporttest

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/transport"
)

// sockets counts those of this process, but for the one that the test's host listens
// on.
func sockets() int {
	n := -1
	for _, d := range leaktest.Descriptors() {
		if d == "socket" {
			n++
		}
	}
	return max(0, n)
}

// insideTests are about a client and a host in one process.
var insideTests = []test{
	{"InProcessUsesNoKernel", testInside},
	{"NoInProcessUsesTheKernel", testNotInside},
}

// testInside: a client and a host in one process use no descriptors and do not
// share the memory of messages; a client that is to use the kernel reaches the same
// host through it.
func testInside(t *testing.T, e *env) {
	got := make(chan []byte, 2)
	h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
		m.Body[0]++ // it is the handler's own
		got <- append([]byte{}, m.Body...)
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}, e.config())
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	assert.Zero(t, sockets())
	sent := []byte("message")
	require.NoError(t, c.Send(ctx, sent))
	assert.Equal(t, "nessage", string(await(t, got)))
	back, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "nessage", string(back))
	assert.Equal(t, "message", string(sent))

	far := client(t, e.Bytes, e.config(func(c *transport.Config) { c.NoInProcess = true }))
	if runtime.GOOS == "linux" {
		assert.Equal(t, 2, sockets(), "both ends")
	}
	require.NoError(t, far.Send(ctx, sent))
	assert.Equal(t, "nessage", string(await(t, got)))
	_, err = far.Receive(ctx) // else the host may be closed before it has replied
	require.NoError(t, err)
	connected(t, h, 2)
	assert.EqualValues(t, 2, h.Stats().Accepted)
}

// A host that is to use the kernel is not found inside.
func testNotInside(t *testing.T, e *env) {
	handled := make(chan string, 1)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { handled <- m.Body },
		e.config(func(c *transport.Config) { c.NoInProcess = true }))
	c := client(t, e.Strings, e.config())
	if runtime.GOOS == "linux" {
		assert.Equal(t, 2, sockets(), "both ends")
	}
	require.NoError(t, c.Send(context30(t), "by the kernel"))
	assert.Equal(t, "by the kernel", await(t, handled))
}
