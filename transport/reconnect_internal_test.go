package transport

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/internal/conn"
)

// A client that is refused asks less and less often; other failures are tried again
// within a second.
func TestPausesOfAReconnect(t *testing.T) {
	failed := func(err error) error { return fmt.Errorf("connecting: %w", err) }
	plain := &settings{}
	pause, total := firstPause, time.Duration(0)
	for range 40 {
		total += pause
		pause = plain.nextPause(pause, failed(ErrRefused))
	}
	assert.Equal(t, time.Minute, pause)
	assert.Greater(t, total, 20*time.Minute, "40 attempts")
	for _, err := range []error{ErrNoHost, ErrBusy, ErrExhausted, ErrPermission, context.DeadlineExceeded, ErrPeerGone} {
		assert.Equal(t, time.Second, plain.nextPause(pause, failed(err)))
	}
	assert.Equal(t, 2*firstPause, plain.nextPause(firstPause, failed(ErrRefused)))
	assert.Equal(t, 2*firstPause, plain.nextPause(firstPause, failed(ErrNoHost)))

	secure := &settings{}
	secure.Security = struct{ conn.Security }{}
	assert.Equal(t, time.Minute, secure.nextPause(pause, failed(ErrPeerGone)), "the host has refused the key")
	assert.Equal(t, time.Second, secure.nextPause(pause, failed(ErrNoHost)))
}
