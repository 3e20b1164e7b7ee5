package conn_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
)

// A client that is refused asks less and less often; other failures are tried again
// within a second.
func TestPauses(t *testing.T) {
	failed := func(err error) error { return fmt.Errorf("connecting: %w", err) }
	plain := &conn.Config{}
	pause, total := conn.FirstPause, time.Duration(0)
	for range 40 {
		total += pause
		pause = plain.NextPause(pause, failed(conn.ErrRefused))
	}
	assert.Equal(t, time.Minute, pause)
	assert.Greater(t, total, 20*time.Minute, "40 attempts")
	for _, err := range []error{
		rendezvous.ErrNotFound, conn.ErrBusy, rendezvous.ErrExhausted, rendezvous.ErrPermission,
		context.DeadlineExceeded, link.ErrPeerGone,
	} {
		assert.Equal(t, time.Second, plain.NextPause(pause, failed(err)))
	}
	assert.Equal(t, conn.FirstRefusedPause, plain.NextPause(0, failed(conn.ErrRefused)))
	assert.Equal(t, conn.FirstRefusedPause, plain.NextPause(conn.FirstPause, failed(conn.ErrRefused)))
	assert.Equal(t, 2*conn.FirstRefusedPause, plain.NextPause(conn.FirstRefusedPause, failed(conn.ErrRefused)))
	assert.Equal(t, conn.FirstPause, plain.NextPause(0, failed(rendezvous.ErrNotFound)))
	assert.Equal(t, 2*conn.FirstPause, plain.NextPause(conn.FirstPause, failed(rendezvous.ErrNotFound)))

	secure := &conn.Config{Security: struct{ conn.Security }{}}
	assert.Equal(t, time.Minute, secure.NextPause(pause, failed(link.ErrPeerGone)), "the host has refused the key")
	assert.Equal(t, time.Second, secure.NextPause(pause, failed(rendezvous.ErrNotFound)))
}
