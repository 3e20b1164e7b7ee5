package conn

import (
	"context"
	"errors"
	"time"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
)

// Pauses between attempts to find a host again: they double from the first to
// the longest. A host that refuses this client is asked less often: a refusal rarely
// changes, and each attempt costs the host a handshake and a line in its log.
const (
	FirstPause          = 5 * time.Millisecond
	LongestPause        = time.Second
	LongestRefusedPause = time.Minute
)

// NextPause returns the pause after one, when an attempt to dial has failed with err.
func (c *Config) NextPause(pause time.Duration, err error) time.Duration {
	if c.isRefusal(err) {
		return min(2*pause, LongestRefusedPause)
	}
	return min(2*pause, LongestPause)
}

// isRefusal reports whether a host has refused this client, or the handshake with it has
// failed. A host that refuses a key closes the connection.
func (c *Config) isRefusal(err error) bool {
	for _, other := range []error{
		rendezvous.ErrNotFound, rendezvous.ErrExhausted, rendezvous.ErrPermission, rendezvous.ErrUnsafeDir,
		rendezvous.ErrNotEndpoint, ErrBusy, context.DeadlineExceeded,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return c.Security != nil || !errors.Is(err, link.ErrPeerGone)
}
