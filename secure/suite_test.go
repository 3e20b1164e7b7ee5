package secure_test

import (
	"context"
	"testing"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// TestTransportSuite: what package transport passes plainly, this package passes
// with its handshake and records in between.
func TestTransportSuite(t *testing.T) { transporttest.Run(t, layer) }

// The suite's processes have to know each other's keys, so these are no secrets.
var hostKey, clientKey = fixedKey(1), fixedKey(2)

func fixedKey(n byte) keys.PrivateKey {
	raw := make([]byte, 32)
	raw[1] = n // X25519 does not look at all of the first
	k, err := keys.NewPrivateKey(raw)
	if err != nil {
		panic(err)
	}
	return k
}

// hostConfig and clientConfig trust each other, with changes.
func hostConfig(t *transport.Config, changes ...func(*secure.Config)) *secure.Config {
	return with(t, &secure.Config{Key: hostKey, Trust: keys.Allow(clientKey.Public())}, changes)
}

func clientConfig(t *transport.Config, changes ...func(*secure.Config)) *secure.Config {
	return with(t, &secure.Config{Key: clientKey, Trust: keys.Pin(hostKey.Public())}, changes)
}

func with(t *transport.Config, c *secure.Config, changes []func(*secure.Config)) *secure.Config {
	if t != nil {
		c.Transport = *t
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

// ofSuite has a client and a host in one process take the short way where the
// suite does not say otherwise, as in package transport.
func ofSuite(c *secure.Config) { c.SkipInProcessEncryption = !c.Transport.NoInProcess }

// layer is this package as the suite sees it.
var layer = transporttest.Layer{
	Bytes:   typed[[]byte](),
	Strings: typed[string](),
	Notes:   typed[transporttest.Note](),
	Points:  typed[transporttest.Point](),
	Refs:    typed[*transporttest.Ref](),
	Secure:  true,
	Listen: func(endpoint string, cfg *transport.Config) (transporttest.Listener, error) {
		l, err := secure.Listen(endpoint, hostConfig(cfg, ofSuite))
		if err != nil {
			return nil, err
		}
		return listener{l}, nil
	},
	Dial: func(ctx context.Context, endpoint string, cfg *transport.Config) (transporttest.Conn, error) {
		return orNil[transporttest.Conn](secure.Dial(ctx, endpoint, clientConfig(cfg, ofSuite)))
	},
}

type listener struct{ *transport.Listener }

func (l listener) Accept(ctx context.Context) (transporttest.Conn, error) {
	return orNil[transporttest.Conn](l.Listener.Accept(ctx))
}

func typed[T any]() transporttest.Typed[T] {
	return transporttest.Typed[T]{
		NewHost: func(endpoint string, codec transport.Codec[T], handler func(context.Context, transport.Message[T]), cfg *transport.Config) (transporttest.Host, error) {
			if codec == nil {
				return orNil[transporttest.Host](secure.NewSecureHost(endpoint, handler, hostConfig(cfg, ofSuite)))
			}
			return orNil[transporttest.Host](secure.NewSecureHostWithCodec(endpoint, codec, handler, hostConfig(cfg, ofSuite)))
		},
		NewClient: func(ctx context.Context, endpoint string, codec transport.Codec[T], cfg *transport.Config) (transporttest.Client[T], error) {
			if codec == nil {
				return orNil[transporttest.Client[T]](secure.NewSecureClient[T](ctx, endpoint, clientConfig(cfg, ofSuite)))
			}
			return orNil[transporttest.Client[T]](secure.NewSecureClientWithCodec(ctx, endpoint, codec, clientConfig(cfg, ofSuite)))
		},
	}
}

// orNil makes an interface of what a constructor returned: nil on error.
func orNil[I any](v any, err error) (I, error) {
	if err != nil {
		var none I
		return none, err
	}
	return v.(I), nil
}
