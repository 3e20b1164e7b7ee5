package ring

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// New makes a Link of a mapping, the socket by which it was handed over, and the
// peer's credentials, and takes all three over.
func New(m *Mapping, side Side, sock *socket.Conn, c *cred.Credentials, o Options) *Link {
	l := newLink(m, side, c, newPoller(o.PollThreshold))
	p := &process{l: l, m: m, sock: sock, watched: make(chan struct{})}
	l.peer = p
	go p.watch()
	return l
}

// process is a peer in another process. The socket is the doorbell and says when
// the peer has ended.
type process struct {
	l       *Link
	m       *Mapping
	sock    *socket.Conn
	watched chan struct{} // closed when watch has returned
}

// watch passes doorbells on until the socket ends. New starts it, detach joins it.
func (p *process) watch() {
	defer close(p.watched)
	// Reset or end of file: the peer is gone either way, and what it left
	// unread is in the ring's own count.
	if err := p.sock.Drain(p.l.rung); errors.Is(err, socket.ErrDescriptor) {
		p.l.broken = fmt.Errorf("%w: %w", link.ErrProtocol, err)
	}
	p.l.left()
}

func (p *process) ring() { p.sock.Ring() }

func (p *process) hungUp() bool { return p.sock.HungUp() }

func (p *process) detach() error {
	p.l.out.Detach()
	p.sock.Interrupt()
	<-p.watched
	return errors.Join(p.sock.Close(), p.m.Unmap())
}
