package secure

import (
	"context"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/upgrade"
	"github.com/sealport/sealport/transport"
)

// NewSecureHost is transport.NewHost for secure clients. cfg must say whom to
// trust; otherwise it fails with transport.ErrConfig. A message's sender is known
// by Message.Peer, and by its key: Message.PeerKey.
func NewSecureHost[T any](endpoint string, handler func(transport.Message[T]), cfg *Config) (*transport.Host[T], error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.NewHost(endpoint, handler, t)
}

// NewSecureHostWithCodec is NewSecureHost with a codec of the caller's.
func NewSecureHostWithCodec[T any](endpoint string, codec transport.Codec[T], handler func(transport.Message[T]), cfg *Config) (*transport.Host[T], error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.NewHostWithCodec(endpoint, codec, handler, t)
}

// NewSecureClient is transport.NewClient for a secure host. Further errors:
// ErrHandshake, with what this side had against it. A client that connects again
// does a new handshake, and trusts no other host than before by its Config.
//
// It blocks until the host has accepted this client's key, in every pattern, for at
// most Transport.HandshakeTimeout. A host that does not trust it hangs up, which is
// ErrHandshake and transport.ErrPeerGone. A client that was connected and is not
// accepted again when it connects again goes on to try in growing steps; calls
// that wait for a host meanwhile end with their context, and with that error too.
func NewSecureClient[T any](ctx context.Context, endpoint string, cfg *Config) (*transport.Client[T], error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.NewClient[T](ctx, endpoint, t)
}

// NewSecureClientWithCodec is NewSecureClient with a codec of the caller's.
func NewSecureClientWithCodec[T any](ctx context.Context, endpoint string, codec transport.Codec[T], cfg *Config) (*transport.Client[T], error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.NewClientWithCodec(ctx, endpoint, codec, t)
}

// Listen is transport.Listen for secure clients.
func Listen(endpoint string, cfg *Config) (*transport.Listener, error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.Listen(endpoint, t)
}

// Dial is transport.Dial to a secure host. For what it waits for, and errors, see
// NewSecureClient.
func Dial(ctx context.Context, endpoint string, cfg *Config) (*transport.Conn, error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.Dial(ctx, endpoint, t)
}

// Server does the handshake, as the host, over a plain connection whose client
// calls Client at this point, and returns the secure one. It takes conn over, on
// error too, and blocks until the handshake is done or ctx ends. Of
// cfg.Transport it uses nothing: conn is made already.
func Server(ctx context.Context, conn *transport.Conn, cfg *Config) (*transport.Conn, error) {
	return wrap(ctx, conn, cfg, handshake.Responder)
}

// Client is the client's side of Server.
func Client(ctx context.Context, conn *transport.Conn, cfg *Config) (*transport.Conn, error) {
	return wrap(ctx, conn, cfg, handshake.Initiator)
}

func wrap(ctx context.Context, conn *transport.Conn, cfg *Config, role handshake.Role) (*transport.Conn, error) {
	u, _, err := cfg.resolve(role)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	wrapped, err := upgrade.Wrap(ctx, conn, u, role == handshake.Responder)
	if err != nil {
		return nil, err
	}
	return wrapped.(*transport.Conn), nil
}

// transport returns the transport.Config with what makes it secure.
func (c *Config) transport(role handshake.Role) (*transport.Config, error) {
	u, t, err := c.resolve(role)
	if err != nil {
		return nil, err
	}
	upgrade.Attach(t, u)
	return t, nil
}
