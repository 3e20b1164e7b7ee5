package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/peer"
)

// Listener accepts connections to one endpoint. All methods may be called
// concurrently.
type Listener struct{ l *conn.Listener }

// Listen serves an endpoint for connections that carry bytes: those of [Dial], or of a
// [Client] of []byte. It does not block, except on Darwin for 127 ms if the endpoint is
// in use, because launchd takes a moment to release a name. On Linux it adopts the
// socket that systemd has passed with the endpoint's name as FileDescriptorName=,
// which must be a ListenSequentialPacket= one. The first Listen that does so takes the
// descriptor over: the program must not use its number any more. This package keeps a copy
// until the process ends, so that the endpoint can be served again after Close, and clients
// that connect in between wait for that. After an error the descriptor is as before.
//
// Errors: [ErrInvalidEndpoint], [ErrEndpointInUse], [ErrPermission],
// [ErrNotEndpoint], [ErrUnsafeDir], [ErrNoHost] (the directory's parent does not
// exist), [ErrExhausted], [ErrConfig]. After an error nothing is served.
func Listen(endpoint string, cfg *Config) (*Listener, error) {
	s, err := cfg.resolve(host)
	if err != nil {
		return nil, err
	}
	l, err := s.listen(endpoint, s.engine(bytesContent))
	if err != nil {
		return nil, err
	}
	return &Listener{l}, nil
}

// listen serves an endpoint. It warns if this process may not have as many descriptors as
// all clients need, and fails if it has none left for one.
func (s *settings) listen(endpoint string, c *conn.Config) (*conn.Listener, error) {
	c.Report = func(id *peer.Identity, err error) { s.reportConn(endpoint, id, err) }
	c.NoMemory = func(err error) {
		s.log.Warn("cannot create memory files: clients get a Unix socket, which is slower; check RLIMIT_FSIZE and the seccomp profile",
			"endpoint", endpoint, "err", err)
	}
	l, err := conn.Listen(endpoint, c)
	if err != nil {
		return nil, err
	}
	if s.Shared && s.defaultPeer && runtime.GOOS != "darwin" {
		s.log.Info("Shared is set, but the default Peer accepts no other user but root; set Peer", "endpoint", endpoint)
	}
	if needed, limit, ok := rendezvous.EnoughDescriptors(s.MaxConnections); !ok {
		if err := roomForClient(); err != nil {
			return nil, errors.Join(fmt.Errorf("serving %q: no client can connect: %w", endpoint, rendezvous.Explain(err)), l.Close())
		}
		s.log.Warn("the limit of open descriptors (RLIMIT_NOFILE) is too low for MaxConnections; raise one or lower the other",
			"endpoint", endpoint, "max_connections", s.MaxConnections, "needed", needed, "limit", limit)
	}
	return l, nil
}

// roomForClient returns the system's error if this process has no descriptors left for a
// client, which takes up to 4.
func roomForClient() error {
	for range 4 {
		f, err := os.Open("/")
		if rendezvous.IsExhausted(err) {
			return err
		}
		if err == nil {
			defer f.Close()
		}
	}
	return nil
}

// Endpoint returns the name of the endpoint.
func (l *Listener) Endpoint() string { return l.l.Endpoint() }

// Accept waits for the next connection whose set-up is complete and whose peer
// [Config.Peer] has accepted. It returns ctx.Err() if ctx ends first, after which it may
// be called again, and [ErrClosed] after Close. When another process has taken the
// endpoint, it returns an error for which errors.Is holds for [ErrEndpointInUse]; see
// [EndpointError]. The caller closes the Conn.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{c}, nil
}

// Close stops serving the endpoint and ends every Accept. Accepted connections are not
// affected. It waits for set-ups in progress, which end at once. Errors are the
// system's; the endpoint is released in any case. Later calls return the same.
func (l *Listener) Close() error { return l.l.Close() }
