package conn

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Conn is a connection with a peer whose identity is known. Of the embedded
// [message.Conn], Close, CloseWithReason and Abort are replaced.
type Conn struct {
	*message.Conn
	id       *peer.Identity
	proof    Proof
	endpoint string
	limit    int // bytes, the smaller MaxMessageSize of the two

	close   sync.Once
	err     error  // of Close
	onClose func() // may be nil
}

// newConn makes a Conn of a link on which both sides have said hello, and shown
// proof if they are secure. It takes l and id over.
func newConn(l link.Link, c *Config, theirs wire.Hello, id *peer.Identity, proof Proof, endpoint string, client bool, onClose func()) *Conn {
	limit := c.MaxMessageSize
	if theirs.MaxMessage < uint64(limit) {
		limit = int(theirs.MaxMessage)
	}
	m := message.NewConn(l, message.Config{
		MaxSend:    limit,
		MaxReceive: c.MaxMessageSize,
		PeerLimits: limit < c.MaxMessageSize,
		// In shared memory a frame costs less than the question whether the
		// peer is backlogged.
		Coalesce:     l.SyscallPerFrame(),
		FollowGoAway: client,
		Closed:       c.Closed,
	})
	return &Conn{Conn: m, id: id, proof: proof, endpoint: endpoint, limit: limit, onClose: onClose}
}

// Close pushes out what is coalesced (5 seconds at most), ends this side's
// messages, unblocks every call and frees the connection. Idempotent.
func (c *Conn) Close() error { return c.CloseWithReason("") }

// CloseWithReason is Close, and tells the peer why.
func (c *Conn) CloseWithReason(reason string) error {
	c.close.Do(func() { c.err = c.finish(c.Conn.CloseWithReason(reason)) })
	return c.err
}

// Refuse is CloseWithReason for a client that waits for Accept. It gives the client
// time to read the reason and to close, until ctx ends: with Mach ports, what this
// side has sent may be lost if it closes right after it has accepted.
func (c *Conn) Refuse(ctx context.Context, reason string) error {
	if c.SayGoodbye(ctx, reason) == nil {
		select {
		case <-c.Gone().Done():
		case <-ctx.Done():
		}
	}
	return c.Close()
}

// Abort is Close without waiting for the peer. It ends a Close that does.
func (c *Conn) Abort() {
	err := c.Conn.Abort()
	c.close.Do(func() { c.err = c.finish(err) })
}

func (c *Conn) finish(err error) error {
	if c.onClose != nil {
		c.onClose()
	}
	return errors.Join(err, c.id.Close())
}

// Peer is the identity of the process at the other end when it said hello. It is
// closed with the Conn.
func (c *Conn) Peer() *peer.Identity { return c.id }

// PeerKey is the static key that the peer has proved to hold, or zero.
func (c *Conn) PeerKey() keys.PublicKey { return c.proof.Key }

// HandshakeHash is that of a secure connection, or nil. The caller owns it.
func (c *Conn) HandshakeHash() []byte { return bytes.Clone(c.proof.Hash) }

// Endpoint is the name of the endpoint.
func (c *Conn) Endpoint() string { return c.endpoint }

// MaxMessageSize is the size in bytes of the largest message that Send takes.
func (c *Conn) MaxMessageSize() int { return c.limit }
