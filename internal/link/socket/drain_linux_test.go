package socket_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/socket"
)

// Drain waits for doorbells, reports each, and says how the peer has ended.
func TestDrain(t *testing.T) {
	for name, pair := range map[string]func(t testing.TB) (a, b *socket.Conn){"default": pair, "before Linux 6.16": openPair} {
		t.Run(name, func(t *testing.T) {
			drain := func(c *socket.Conn) (bells <-chan struct{}, end <-chan error) {
				require.NoError(t, c.StopCredentials())
				rung, ended := make(chan struct{}), make(chan error, 1)
				go func() { ended <- c.Drain(func() { rung <- struct{}{} }) }()
				return rung, ended
			}
			t.Run("closed", func(t *testing.T) {
				a, b := pair(t)
				bells, end := drain(b)
				for range 3 {
					a.Ring()
					await(t, bells)
				}
				require.NoError(t, a.Close())
				require.Equal(t, io.EOF, await(t, end))
			})
			t.Run("closed with an unread doorbell", func(t *testing.T) {
				a, b := pair(t)
				bells, end := drain(b)
				a.Ring()
				await(t, bells)
				b.Ring()
				require.NoError(t, a.Close())
				require.ErrorIs(t, await(t, end), socket.ErrReset)
				_, end = drain(b)
				require.Equal(t, io.EOF, await(t, end))
			})
		})
	}
}
