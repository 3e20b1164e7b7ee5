package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/remember"
	"github.com/sealport/sealport/internal/upgrade"
	"github.com/sealport/sealport/peer"
)

func init() {
	upgrade.Attach = func(config any, u upgrade.Upgrader) { config.(*Config).upgrade = u }
	upgrade.Wrap = func(ctx context.Context, conn any, u upgrade.Upgrader, host bool) (any, error) {
		return wrap(ctx, conn.(*Conn), u, host)
	}
}

// secured returns l, or what a handshake makes of it. It takes l over.
func secured(ctx context.Context, l link.Link, s *settings, endpoint string, id *peer.Identity, host bool) (link.Link, upgrade.Result, error) {
	if s.upgrade == nil {
		return l, upgrade.Result{}, nil
	}
	return handshake(ctx, l, s.upgrade, endpoint, id, host)
}

func handshake(ctx context.Context, l link.Link, u upgrade.Upgrader, endpoint string, id *peer.Identity, host bool) (link.Link, upgrade.Result, error) {
	self, err := ownBinding()
	if err != nil {
		l.Interrupt()
		return nil, upgrade.Result{}, errors.Join(err, l.Close())
	}
	side := upgrade.Side{Endpoint: endpoint, Self: self, Peer: id.Binding(), PeerUID: id.Token().EUID()}
	if host {
		return u.Host(ctx, l, side)
	}
	return u.Client(ctx, l, side)
}

// ownBinding is what a handshake binds of this process, as its peers see it.
func ownBinding() ([]byte, error) {
	c, err := rendezvous.Self()
	if c == nil || err != nil {
		return selfBinding()
	}
	// An audit token changes with the process's ids.
	self, err := peer.Identify(c)
	if err != nil {
		return nil, err
	}
	return self.Binding(), self.Close()
}

// selfBinding is peer.Self's, which stays the same for as long as the process
// lives.
var selfBinding = remember.Success(func() ([]byte, error) {
	self, err := peer.Self()
	if err != nil {
		return nil, err
	}
	return self.Binding(), self.Close()
})

// wrap makes a secure Conn of a plain one, whose messages become its frames.
func wrap(ctx context.Context, c *Conn, u upgrade.Upgrader, host bool) (*Conn, error) {
	if len(c.proof.Hash) > 0 {
		return nil, errors.Join(fmt.Errorf("%w: the connection is secure already", ErrConfig), c.Close())
	}
	inner := &connLink{c: c, maxFrame: min(c.limit, connMaxFrame)}
	if inner.maxFrame < link.MinMaxFrame {
		return nil, errors.Join(fmt.Errorf("%w: MaxMessageSize below %d is too small for a handshake", ErrConfig, link.MinMaxFrame), c.Close())
	}
	// A record that was held back would be neither sent nor not sent.
	if err := c.m.StopCoalescing(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	l, proof, err := handshake(ctx, inner, u, c.endpoint, c.id, host)
	if err != nil {
		return nil, err
	}
	s := &settings{Config: Config{MaxMessageSize: c.limit}}
	// The inner Conn closes the identity.
	return newConn(l, s, message.Hello{MaxMessage: uint64(c.limit)}, c.id, proof, c.endpoint, nil), nil
}

// connMaxFrame is the largest frame in bytes that is made a message.
const connMaxFrame = 64 << 10

// connLink is a Conn as a link. The sizes agree because both sides know the
// smaller of their limits.
type connLink struct {
	c        *Conn
	maxFrame int
	frame    []byte
}

var _ link.Link = (*connLink)(nil)

func (l *connLink) WriteFrame(ctx context.Context, head, body []byte) error {
	if n := len(head) + len(body); n > l.maxFrame {
		return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, l.maxFrame)
	}
	if len(head) > 0 {
		l.frame = append(append(l.frame[:0], head...), body...)
		body = l.frame
	}
	return l.c.m.Send(ctx, body)
}

func (l *connLink) ReadFrame(ctx context.Context) ([]byte, error) { return l.c.m.Receive(ctx) }
func (l *connLink) Buffered() bool                                { return false }
func (l *connLink) MaxFrame() int                                 { return l.maxFrame }
func (l *connLink) SyscallPerFrame() bool                         { return true }
func (l *connLink) Backlogged() bool                              { return l.c.m.Backlogged() }
func (l *connLink) WaitDrained(ctx context.Context) error         { return l.c.m.WaitDrained(ctx) }
func (l *connLink) Unacknowledged() uint64                        { return l.c.m.Unacknowledged() }
func (l *connLink) Gone() <-chan struct{}                         { return l.c.m.Gone() }
func (l *connLink) HungUp() bool                                  { return l.c.m.HungUp() }
func (l *connLink) Credentials() *cred.Credentials                { return nil }
func (l *connLink) CloseWrite(ctx context.Context) error          { return l.c.m.CloseWrite(ctx) }
func (l *connLink) Interrupt()                                    { l.c.m.Interrupt() }
func (l *connLink) Close() error                                  { return l.c.Close() }
