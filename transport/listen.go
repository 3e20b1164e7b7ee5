package transport

import (
	"context"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/peer"
)

// Listener accepts connections to one endpoint. All methods may be called
// concurrently.
type Listener struct{ l *conn.Listener }

// Listen serves an endpoint for connections that carry bytes: of [Dial], or of a
// Client of []byte. It does not block, but for 127 ms on Darwin if the endpoint is
// in use, since launchd takes a moment to forget a name. On Linux it adopts the
// socket that systemd has passed with the endpoint's name as FileDescriptorName=,
// which must be a ListenSequentialPacket= one.
//
// Errors: [ErrInvalidEndpoint], [ErrEndpointInUse], [ErrPermission],
// [ErrNotEndpoint], [ErrUnsafeDir], [ErrNoHost] (the directory's parent does not
// exist), [ErrExhausted], [ErrConfig].
func Listen(endpoint string, cfg *Config) (*Listener, error) {
	s, err := cfg.resolve(host)
	if err != nil {
		return nil, err
	}
	c := s.engine(bytesContent)
	c.Report = func(id *peer.Identity, err error) { s.reportConn(endpoint, id, err) }
	l, err := conn.Listen(endpoint, c)
	if err != nil {
		return nil, err
	}
	return &Listener{l}, nil
}

// Endpoint is the name of the endpoint.
func (l *Listener) Endpoint() string { return l.l.Endpoint() }

// Accept waits for the next connection whose peer has said hello and was admitted by
// [Config.Peer]. It returns [ErrClosed] after Close, and ctx.Err().
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{c}, nil
}

// Close gives the endpoint up and ends every Accept. Connections that were
// accepted go on. It waits for set-ups under way, whose contexts it ends. Idempotent.
func (l *Listener) Close() error { return l.l.Close() }
