package secure

import (
	"context"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/transport"
)

// NewSecureHost is [transport.NewHost] for secure clients: it blocks no longer, and
// has the same errors, after which nothing is served. cfg must set Trust for patterns
// with client keys; otherwise the error is [transport.ErrConfig].
// [transport.Session.Peer] and [transport.Session.PeerKey] identify the sender of a
// message.
//
// A client whose key is refused costs the host a handshake and no more: its messages
// are not read. The refusal is logged to Transport.Logger, and Transport.OnError gets
// a [*transport.ConnError] that wraps [ErrHandshake] and the error of Trust.
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

// NewSecureClient is [transport.NewClient] for a secure host, with one more error:
// [ErrHandshake], with the cause if it is on this side. A client that reconnects does
// a new handshake, and authorizes the host's key again.
//
// It blocks until the host has accepted this client's key, in every pattern, until ctx
// ends, or for Transport.HandshakeTimeout. After an error nothing is open. A host that
// does not accept the key closes the connection, which is ErrHandshake and
// [transport.ErrPeerGone]; the error contains the public key, to add to the host's
// allow file. A client that is refused when it reconnects keeps trying, with pauses
// that grow to 1 minute; a failed handshake counts as a refusal. Calls that wait for a host end with their context; see
// [transport.Client.Send].
func NewSecureClient[T any](ctx context.Context, endpoint string, cfg *Config) (*transport.Client[T], error) {
	return NewSecureClientWithCodec[T](ctx, endpoint, nil, cfg)
}

// NewSecureClientWithCodec is [NewSecureClient] with a custom codec; nil means the
// default one.
func NewSecureClientWithCodec[T any](ctx context.Context, endpoint string, codec transport.Codec[T], cfg *Config) (*transport.Client[T], error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.NewClientWithCodec(ctx, endpoint, codec, t)
}

// Listen is [transport.Listen] for secure clients: it blocks no longer, and has the
// same errors, after which nothing is served. [transport.Listener.Accept] returns
// connections whose handshake is done.
func Listen(endpoint string, cfg *Config) (*transport.Listener, error) {
	t, err := cfg.transport(handshake.Responder)
	if err != nil {
		return nil, err
	}
	return transport.Listen(endpoint, t)
}

// Dial is [transport.Dial] to a secure host. It blocks as long as [NewSecureClient],
// and has its errors, after which nothing is open. A [transport.Conn] does not
// reconnect.
func Dial(ctx context.Context, endpoint string, cfg *Config) (*transport.Conn, error) {
	t, err := cfg.transport(handshake.Initiator)
	if err != nil {
		return nil, err
	}
	return transport.Dial(ctx, endpoint, t)
}

// transport returns c.Transport with the Security that c describes.
func (c *Config) transport(role handshake.Role) (*transport.Config, error) {
	s, t, err := c.resolve(role)
	if err != nil {
		return nil, err
	}
	t.Security = s
	return t, nil
}
