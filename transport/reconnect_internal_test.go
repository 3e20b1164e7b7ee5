package transport

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A client that is refused asks less and less often, and one whose host comes back is
// there within a second again.
func TestPausesOfAReconnect(t *testing.T) {
	refused := fmt.Errorf("connecting: %w", ErrRefused)
	pause, total := firstPause, time.Duration(0)
	for range 40 {
		total += pause
		pause = nextPause(pause, refused)
	}
	assert.Equal(t, time.Minute, pause)
	assert.Greater(t, total, 20*time.Minute, "40 attempts")
	for _, passing := range []error{ErrNoHost, ErrBusy, ErrExhausted, context.DeadlineExceeded} {
		assert.Equal(t, time.Second, nextPause(pause, fmt.Errorf("connecting: %w", passing)))
	}
	assert.Equal(t, 2*firstPause, nextPause(firstPause, refused))
	assert.Equal(t, 2*firstPause, nextPause(firstPause, ErrNoHost))
}
