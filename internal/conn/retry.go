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
	FirstRefusedPause   = 250 * time.Millisecond // a host that ends within a handshake may be replaced soon
	LongestRefusedPause = time.Minute
)

// NextPause returns the pause after one, when an attempt to dial has failed with err. That
// of the first attempt is 0.
func (c *Config) NextPause(pause time.Duration, err error) time.Duration {
	if c.isRefusal(err) {
		return min(max(2*pause, FirstRefusedPause), LongestRefusedPause)
	}
	return min(max(2*pause, FirstPause), LongestPause)
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
