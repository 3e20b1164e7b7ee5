package secure_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// hosts and clients are settings that are refused before anything is made: what
// was forgotten is the strict choice, what contradicts itself is a mistake.
var hosts = map[string]func(*secure.Config){
	"nothing at all":                   func(c *secure.Config) { *c = secure.Config{Transport: c.Transport} },
	"no trust":                         func(c *secure.Config) { c.Trust = nil },
	"no key":                           func(c *secure.Config) { c.Key = keys.PrivateKey{} },
	"NK without saying anonymous":      func(c *secure.Config) { c.Pattern, c.Trust = handshake.NK, nil },
	"NK with trust":                    func(c *secure.Config) { c.Pattern, c.AllowAnonymous = handshake.NK, true },
	"NN without a PSK":                 func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN} },
	"NN with a key":                    func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, Key: hostKey} },
	"NN with trust":                    func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, Trust: keys.Allow()} },
	"NN with anonymous":                func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, AllowAnonymous: true} },
	"NN with a next key":               func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, NextKey: otherKey} },
	"no such pattern":                  func(c *secure.Config) { c.Pattern = 77 },
	"negative rekey":                   func(c *secure.Config) { c.RekeyInterval = -1 },
	"negative half-open":               func(c *secure.Config) { c.MaxHalfOpen = -1 },
	"negative half-open per user":      func(c *secure.Config) { c.MaxHalfOpenPerUser = -1 },
	"skip without in-process":          func(c *secure.Config) { c.SkipInProcessEncryption, c.Transport.NoInProcess = true, true },
	"a transport that can't be":        func(c *secure.Config) { c.Transport.BufferSize = 3 },
	"negative rehandshake":             func(c *secure.Config) { c.RehandshakeInterval = -2 },
	"rehandshake faster than is taken": func(c *secure.Config) { c.RehandshakeInterval = time.Second - 1 },
}

var clients = map[string]func(*secure.Config){
	"nothing at all":                   func(c *secure.Config) { *c = secure.Config{Transport: c.Transport} },
	"no trust":                         func(c *secure.Config) { c.Trust = nil },
	"no key":                           func(c *secure.Config) { c.Key = keys.PrivateKey{} },
	"NK with a key":                    func(c *secure.Config) { c.Pattern = handshake.NK },
	"NK without a pinned key":          func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NK, Trust: keys.Allow(hostKey.Public())} },
	"IK without a pinned key":          func(c *secure.Config) { c.Pattern, c.Trust = handshake.IK, keys.Allow(hostKey.Public()) },
	"NN without a PSK":                 func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN} },
	"anonymous":                        func(c *secure.Config) { c.AllowAnonymous = true },
	"next key":                         func(c *secure.Config) { c.NextKey = otherKey },
	"no such pattern":                  func(c *secure.Config) { c.Pattern = 77 },
	"skip without in-process":          func(c *secure.Config) { c.SkipInProcessEncryption, c.Transport.NoInProcess = true, true },
	"rehandshake faster than is taken": func(c *secure.Config) { c.RehandshakeInterval = time.Millisecond },
}

func TestImpossibleConfigIsRefused(t *testing.T) {
	for name, change := range hosts {
		t.Run("host/"+name, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.in(hostConfig(nil, change))
			_, err := secure.NewSecureHost(w.endpoint, func(transport.Message[string]) {}, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = secure.Listen(w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			assert.NoDirExists(t, w.folder)
		})
	}
	for name, change := range clients {
		t.Run("client/"+name, func(t *testing.T) {
			w := newWorld(t)
			w.echo(t, hostConfig(nil))
			cfg := w.in(clientConfig(nil, change))
			_, err := secure.NewSecureClient[string](hung(t), w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = secure.Dial(hung(t), w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			assert.Empty(t, w.failures)
		})
	}
	_, err := secure.NewSecureHost(endpoint, func(transport.Message[string]) {}, nil)
	require.ErrorIs(t, err, transport.ErrConfig)
	_, err = secure.NewSecureClient[string](hung(t), endpoint, nil)
	require.ErrorIs(t, err, transport.ErrConfig)
}
