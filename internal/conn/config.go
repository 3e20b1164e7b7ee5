package conn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// Config is how a Listener or Conn is made. Every field but Security and Report
// is set; a Config is not changed once it is used.
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
	// connection, with its identity if that is known, and errors of the system's.
	// id is closed when Report returns.
	Report func(id *peer.Identity, err error)
}

// hello is what this side says first.
func (c *Config) hello() wire.Hello {
	h := wire.Hello{Version: wire.Version, MaxMessage: uint64(c.MaxMessageSize), Content: c.Content}
	if c.Security != nil {
		h.Mode = wire.Secure
	}
	return h
}

// mostClients is how many clients there are at a time: MaxConnections, and as many
// again that have not said hello or are being refused.
func (c *Config) mostClients() int {
	return c.MaxConnections + min(c.MaxConnections, math.MaxInt-c.MaxConnections)
}

// withTimeout bounds the set-up of a connection.
func (c *Config) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.HandshakeTimeout, &timeoutError{c.HandshakeTimeout})
}

// timedOut adds to an error of withTimeout's context that HandshakeTimeout is over, if
// that is what ended it.
func timedOut(ctx context.Context, err error) error {
	var timeout *timeoutError
	if cause := context.Cause(ctx); errors.As(cause, &timeout) && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &timeout) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// timeoutError says that HandshakeTimeout is over. It answers
// errors.Is(err, context.DeadlineExceeded).
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("connection set-up took longer than the HandshakeTimeout of %v", e.after)
}

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
