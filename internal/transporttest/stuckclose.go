package transporttest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// Close gives a peer that does not receive 5 seconds. Nobody else waits for that: calls
// with contexts return when these end, and others at once, in a host, a Client and a Conn.
func testStuckClose(t *testing.T, e *env) {
	for name, closing := range map[string]func(*transport.Client[string], *transport.Session[string]) error{
		"client":  func(c *transport.Client[string], _ *transport.Session[string]) error { return c.Close() },
		"session": func(_ *transport.Client[string], s *transport.Session[string]) error { return s.Close("stuck") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, e.Layer, e.variant)
			entered, free := make(chan *transport.Session[string], 1), make(chan struct{})
			h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) {
				select {
				case entered <- m.Session:
				default:
				}
				<-free
			}, e.config())
			defer close(free)
			c := client(t, e.Strings, e.config())
			require.NoError(t, c.Send(context30(t), "first"))
			s := await(t, entered)
			fillUp(t, c.Send)
			fillUp(t, s.Send)
			meanwhileStuck(t, e, func() error { return closing(c, s) }, func(short context.Context) {
				_, _ = h.Stats(), s.Stats()
				_ = s.Send(short, "x")
				_ = c.Send(short, "x")
				_, _ = c.SendBatch(short, []string{"x", "y"})
				_ = c.Flush(short)
				_, _, _, _ = c.Stats(), c.Peer(), c.PeerKey(), c.Generation()
			})
		})
	}
	t.Run("conn", func(t *testing.T) {
		t.Parallel()
		a, _ := conns(t, newEnv(t, e.Layer, e.variant))
		fillUp(t, func(ctx context.Context, s string) error { return a.Send(ctx, []byte(s)) })
		meanwhileStuck(t, e, a.Close, func(short context.Context) {
			_ = a.Stats()
			_ = a.Send(short, []byte("x"))
			_, _ = a.Receive(short)
			_ = a.Flush(short)
		})
	})
}

// fillUp sends until there is no more room.
func fillUp(t *testing.T, send func(context.Context, string) error) {
	t.Helper()
	for size := 10_000; size > 0; size /= 100 { // large messages are not coalesced
		short, cancel := context.WithTimeout(t.Context(), 20*tick)
		defer cancel()
		var err error
		for body := fmt.Sprintf("%*s", size, ""); err == nil; {
			err = send(short, body)
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

// meanwhileStuck calls others again and again while a Close is stuck.
func meanwhileStuck(t *testing.T, e *env, stuck func() error, others func(short context.Context)) {
	closed := make(chan error, 1)
	go func() { closed <- stuck() }()
	rounds := 0
	for over := false; !over; rounds++ {
		short, cancel := context.WithTimeout(t.Context(), 10*tick)
		others(short)
		select {
		case <-closed:
			over = true
		case <-short.Done():
		}
		cancel()
	}
	if e.coalesces() && !e.mach && !e.inside { // their queues have room for what is coalesced
		// A call that waits for Close would be one of very few.
		assert.Greater(t, rounds, 5)
	}
}
