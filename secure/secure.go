package secure

import (
	"context"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/transport"
)

// NewSecureHost is [transport.NewHost] for secure clients. cfg must say whom to
// trust; otherwise it fails with [transport.ErrConfig]. A message's sender is known
// by [transport.Session.Peer], and by its key, [transport.Session.PeerKey]. It blocks
// no longer than transport.NewHost.
func NewSecureHost[T any](endpoint string, handle func(ctx context.Context, m transport.Message[T]), cfg *Config) (*transport.Host[T], error) {
	return NewSecureHostWithService(endpoint, transport.Service[T]{Handle: handle}, cfg)
}

// NewSecureHostWithService is [NewSecureHost] for a host that does more than handle
// messages; see [transport.NewHostWithService].
func NewSecureHostWithService[T any](endpoint string, service transport.Service[T], cfg *Config) (*transport.Host[T], error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.NewHostWithService(endpoint, service, t)
}

// NewSecureClient is [transport.NewClient] for a secure host. Further errors:
// [ErrHandshake], with the reason if it is this side's. A client that connects again
// does a new handshake, and trusts the same host keys as before by its Config.
//
// It blocks until the host has accepted this client's key, in every pattern, for at
// most Transport.HandshakeTimeout. A host that does not trust the key closes the
// connection, which is ErrHandshake and [transport.ErrPeerGone]. A client that was
// connected and is not accepted when it connects again goes on to try, with growing
// pauses; calls that wait for a host meanwhile end with their context, and with that
// error too.
func NewSecureClient[T any](ctx context.Context, endpoint string, cfg *Config) (*transport.Client[T], error) {
	return NewSecureClientWithCodec[T](ctx, endpoint, nil, cfg)
}

// NewSecureClientWithCodec is [NewSecureClient] with a codec of the caller's.
func NewSecureClientWithCodec[T any](ctx context.Context, endpoint string, codec transport.Codec[T], cfg *Config) (*transport.Client[T], error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.NewClientWithCodec(ctx, endpoint, codec, t)
}

// Listen is [transport.Listen] for secure clients.
func Listen(endpoint string, cfg *Config) (*transport.Listener, error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.Listen(endpoint, t)
}

// Dial is [transport.Dial] to a secure host. For how long it blocks, and its errors,
// see [NewSecureClient].
func Dial(ctx context.Context, endpoint string, cfg *Config) (*transport.Conn, error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.Dial(ctx, endpoint, t)
}

// transport returns the transport.Config with what makes it secure.
func (c *Config) transport(role handshake.Role) (*transport.Config, error) {
	s, t, err := c.resolve(role)
	if err != nil {
		return nil, err
	}
	t.Security = s
	return t, nil
}
