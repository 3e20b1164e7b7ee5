//go:build !race

package secure_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/secure"
)

// TestNoAllocationPerMessage: neither side allocates for a message, small or in
// pieces, once its buffers have grown.
func TestNoAllocationPerMessage(t *testing.T) {
	w := newWorld(t)
	l, err := secure.Listen(w.endpoint, w.serving(hostConfig(nil)))
	require.NoError(t, err)
	defer l.Close()
	client, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil)))
	require.NoError(t, err)
	defer client.Close()
	host, err := l.Accept(hung(t))
	require.NoError(t, err)
	defer host.Close()
	ctx := t.Context()
	for _, n := range []int{64, 4096, 60_000, 100_000} {
		body := make([]byte, n)
		once := func() {
			if err := client.Send(ctx, body); err != nil {
				t.Fatal(err)
			}
			if _, err := host.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			once()
		}
		// Less than one in a hundred messages: the flusher may have been woken.
		assert.Less(t, testing.AllocsPerRun(1000, once), 1.0, "%d bytes", n)
	}
}
