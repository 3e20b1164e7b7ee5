//go:build unix

package transporttest

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// longProcessTests take seconds.
var longProcessTests = []test{{"ShutdownWithAStoppedClient", testStoppedClient}}

// A client that does not end, here because its process is stopped, does not keep Shutdown
// for more than 5 seconds. What it has sent is handled.
func testStoppedClient(t *testing.T, e *env) {
	handled, over := make(chan string, 1), make(chan error, 1)
	h := serve(t, e.Strings, transport.Service[string]{
		Handle:       func(_ context.Context, m transport.Message[string]) { handled <- m.Body },
		OnDisconnect: func(_ *transport.Session[string], err error) { over <- err },
	}, e.config())
	p := e.start(t, "talker", "")
	p.expect(t, "sent")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, h.Shutdown(context30(t)))
	assert.Equal(t, "hello", await(t, handled))
	assert.ErrorIs(t, await(t, over), transport.ErrClosed)
}
