package transport_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// Neither sending nor receiving a []byte allocates, both ends counted.
func TestBytesDoNotAllocate(t *testing.T) {
	cfg := &transport.Config{Dir: filepath.Join(t.TempDir(), "endpoints"), NoInProcess: true}
	handled := make(chan int, 1)
	host, err := transport.NewHost("com.example.test", func(_ context.Context, m transport.Message[[]byte]) {
		if len(m.Body) == 0 {
			assert.NoError(t, m.Reply(context.Background(), m.Body))
			return
		}
		handled <- len(m.Body)
	}, cfg)
	require.NoError(t, err)
	defer host.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, err := transport.NewClient[[]byte](ctx, "com.example.test", cfg)
	require.NoError(t, err)
	defer client.Close()

	for _, size := range []int{1, 64, 1 << 10, 64 << 10, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			payload := make([]byte, size)
			assert.Zero(t, testing.AllocsPerRun(200, func() {
				if err := client.Send(ctx, payload); err != nil {
					t.Error(err)
				}
				<-handled
			}))
		})
	}
	t.Run("round trip", func(t *testing.T) {
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			if err := client.Send(ctx, nil); err != nil {
				t.Error(err)
			}
			if _, err := client.Receive(ctx); err != nil {
				t.Error(err)
			}
		}))
	})
}
