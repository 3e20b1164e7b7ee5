package transporttest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// Shutdown sends what was published, also what waits for a client that has not read
// anything yet.
func testShutdownPublishes(t *testing.T, e *env) {
	const n, size = 60, 16 << 10 // more than most carriers hold, less than an outbox does
	h, err := e.Bytes.NewHost(e.endpoint, service(func(context.Context, transport.Message[[]byte]) {}), e.config())
	require.NoError(t, err)
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	require.Eventually(t, func() bool { return h.Stats().Connections == 1 }, limit, tick)
	for i := range n {
		b := make([]byte, size)
		b[0] = byte(i)
		require.NoError(t, h.Publish(ctx, b, transport.Wait))
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(ctx) }()
	for i := range n {
		b, err := c.Receive(ctx)
		require.NoError(t, err, "message %d", i)
		require.EqualValues(t, i, b[0])
	}
	require.NoError(t, await(t, ended))
	require.Zero(t, h.Stats().Dropped)
	require.NoError(t, h.Close())
}
