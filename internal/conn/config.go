package conn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// Config is how a Listener or Conn is made. Every field but Security, Report
// and NoMemory is set; a Config is not changed once it is used.
type Config struct {
	Carrier  rendezvous.Carrier
	Security Security // nil: plain
	Options  rendezvous.Options

	Peer             peer.Policy
	Content          string // what messages are
	MaxMessageSize   int    // bytes
	MaxConnections   int
	HandshakeTimeout time.Duration
	InProcess        bool // a client and a host within one process use memory

	// Closed makes the error for a peer that has closed with a reason, which is
	// valid UTF-8 of at most 256 bytes.
	Closed func(reason string) error

	// Confirms has the clients of a Listener wait for Conn.Accept.
	Confirms bool

	// Report is told what no call returns: a client that did not become a
	// connection, with its identity if that is known, or an *OmittedError for many of
	// them; and errors of the system's. id is closed when Report returns.
	Report func(id *peer.Identity, err error)

	// NoMemory is told the first time that a client of a Listener gets a socket instead
	// of shared memory because this process could not make a memory file, and why.
	NoMemory func(error)
}

// hello is what this side says first.
func (c *Config) hello() wire.Hello {
	h := wire.Hello{Version: wire.Version, MaxMessage: uint64(c.MaxMessageSize), Content: c.Content}
	if c.Security != nil {
		h.Mode = wire.Secure
	}
	return h
}

// Limits of the clients that are not connections.
const (
	// helloTimeout is how long a client may take to say hello: less than
	// HandshakeTimeout, since nothing but the client is waited for.
	helloTimeout = 3 * time.Second

	// maxPending and maxPendingPerUser are how many there are at a time: as many as the
	// backlog holds, and a crowd of one user that connects at once.
	maxPending        = 4096
	maxPendingPerUser = 1024

	// maxPolicies and maxPoliciesPerUser are how many evaluations of the policy there
	// are at a time. They may block.
	maxPolicies        = 256
	maxPoliciesPerUser = 64
)

// pendingLimits are maxPending and maxPendingPerUser, or less for a process that may have
// few descriptors. A client that is not a connection has one or two.
func pendingLimits() (total, perUser int) {
	total, perUser = maxPending, maxPendingPerUser
	if limit, ok := rendezvous.DescriptorLimit(); ok && limit/4 < maxPending {
		total = max(2, int(limit/4))
	}
	return total, min(perUser, total/2)
}

// stallShare: a handshake that has taken 1/stallShare of HandshakeTimeout may have to make
// way for another one.
const stallShare = 4

// slotLimits are those of a Listener. Without Security there is nothing that a client
// could delay once it has a slot.
func (c *Config) slotLimits() fair.Limits {
	l := fair.Limits{Total: math.MaxInt, PerUser: math.MaxInt, Capacity: c.MaxConnections}
	if c.Security != nil {
		l.Total, l.PerUser = c.Security.HalfOpen()
		l.Stall = c.HandshakeTimeout / stallShare
	}
	return l
}

// withTimeout bounds the set-up of a connection.
func (c *Config) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.HandshakeTimeout, &timeoutError{"connection set-up", "HandshakeTimeout", c.HandshakeTimeout})
}

// timedOut adds to an error of a context of a set-up what ended it, if that is
// HandshakeTimeout or another limit of this package's.
func timedOut(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var timeout *timeoutError
	var dropped *droppedError
	if !errors.As(cause, &timeout) && !errors.As(cause, &dropped) || errors.Is(err, cause) || !errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// timeoutError says that a limit of time is over. It answers
// errors.Is(err, context.DeadlineExceeded).
type timeoutError struct {
	what, limit string
	after       time.Duration
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("%s took longer than the %s of %v", e.what, e.limit, e.after)
}

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
