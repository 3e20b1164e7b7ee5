package secure_test

import (
	"context"
	"crypto/fips140"
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
	var k keys.PrivateKey
	var err error
	fips140.WithoutEnforcement(func() { k, err = keys.NewPrivateKey(raw) }) // see fips_test.go
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
	Items:   typed[transporttest.Item](),
	Secure:  true,
	Listen: func(endpoint string, cfg *transport.Config) (*transport.Listener, error) {
		return secure.Listen(endpoint, hostConfig(cfg, ofSuite))
	},
	Dial: func(ctx context.Context, endpoint string, cfg *transport.Config) (*transport.Conn, error) {
		return secure.Dial(ctx, endpoint, clientConfig(cfg, ofSuite))
	},
}

func typed[T any]() transporttest.Typed[T] {
	return transporttest.Typed[T]{
		NewHost: func(endpoint string, s transport.Service[T], cfg *transport.Config) (*transport.Host[T], error) {
			return secure.NewSecureHostWithService(endpoint, s, hostConfig(cfg, ofSuite))
		},
		NewClient: func(ctx context.Context, endpoint string, codec transport.Codec[T], cfg *transport.Config) (*transport.Client[T], error) {
			return secure.NewSecureClientWithCodec(ctx, endpoint, codec, clientConfig(cfg, ofSuite))
		},
	}
}
