package secure_test

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// hosts and clients are configurations that are refused before anything is made:
// required settings that are missing, and settings that contradict each other.
var hosts = map[string]func(*secure.Config){
	"nothing at all":              func(c *secure.Config) { *c = secure.Config{Transport: c.Transport} },
	"no trust":                    func(c *secure.Config) { c.Trust = nil },
	"no key":                      func(c *secure.Config) { c.Key = keys.PrivateKey{} },
	"NK without saying anonymous": func(c *secure.Config) { c.Pattern, c.Trust = handshake.NK, nil },
	"NK with trust":               func(c *secure.Config) { c.Pattern, c.AllowAnonymous = handshake.NK, true },
	"NN without a PSK":            func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN} },
	"NN with a key":               func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, Key: hostKey} },
	"NN with trust":               func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, Trust: keys.Allow()} },
	"NN with anonymous":           func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, AllowAnonymous: true} },
	"NN with a next key":          func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, NextKey: otherKey} },
	"trust on first use":          func(c *secure.Config) { c.Trust = new(keys.KnownHosts) },
	"no such pattern":             func(c *secure.Config) { c.Pattern = 77 },
	"negative rekey":              func(c *secure.Config) { c.RekeyInterval = -1 },
	"negative half-open":          func(c *secure.Config) { c.MaxHalfOpen = -1 },
	"negative half-open per user": func(c *secure.Config) { c.MaxHalfOpenPerUser = -1 },
	"skip without in-process":     func(c *secure.Config) { c.SkipInProcessEncryption, c.Transport.NoInProcess = true, true },
	"an impossible transport":     func(c *secure.Config) { c.Transport.BufferSize = 3 },
}

var clients = map[string]func(*secure.Config){
	"nothing at all":                   func(c *secure.Config) { *c = secure.Config{Transport: c.Transport} },
	"no trust":                         func(c *secure.Config) { c.Trust = nil },
	"no key":                           func(c *secure.Config) { c.Key = keys.PrivateKey{} },
	"NK with a key":                    func(c *secure.Config) { c.Pattern = handshake.NK },
	"NK without a pinned key":          func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NK, Trust: keys.Allow(hostKey.Public())} },
	"IK without a pinned key":          func(c *secure.Config) { c.Pattern, c.Trust = handshake.IK, keys.Allow(hostKey.Public()) },
	"NN without a PSK":                 func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN} },
	"no such pattern":                  func(c *secure.Config) { c.Pattern = 77 },
	"skip without in-process":          func(c *secure.Config) { c.SkipInProcessEncryption, c.Transport.NoInProcess = true, true },
	"negative rehandshake":             func(c *secure.Config) { c.RehandshakeInterval = -2 },
	"rehandshake faster than accepted": func(c *secure.Config) { c.RehandshakeInterval = time.Second - 1 },
	"an impossible transport":          func(c *secure.Config) { c.Transport.BufferSize = 3 },
}

func TestImpossibleConfigIsRefused(t *testing.T) {
	for name, change := range hosts {
		t.Run("host/"+name, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.serving(hostConfig(nil, change))
			_, err := secure.NewSecureHost(w.endpoint, func(context.Context, transport.Message[[]byte]) {}, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = secure.Listen(w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			assert.NoDirExists(t, w.dir)
		})
	}
	for name, change := range clients {
		t.Run("client/"+name, func(t *testing.T) {
			w := newWorld(t)
			w.echo(t, hostConfig(nil))
			cfg := w.in(clientConfig(nil, change))
			_, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = secure.Dial(hung(t), w.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			assert.Empty(t, w.failures)
		})
	}
	_, err := secure.NewSecureHost(endpoint, func(context.Context, transport.Message[[]byte]) {}, nil)
	require.ErrorIs(t, err, transport.ErrConfig)
	_, err = secure.NewSecureClient[[]byte](hung(t), endpoint, nil)
	require.ErrorIs(t, err, transport.ErrConfig)
}

// setting is one field of Config, with a value that is not zero, and the roles that
// use the field.
type setting struct {
	set          func(*secure.Config)
	host, client bool
}

const (
	forBoth = iota
	forHosts
)

func of(roles int, set func(*secure.Config)) setting {
	return setting{set: set, host: true, client: roles == forBoth}
}

// settings has a row for every field of Config and of its Transport.
var settings = map[string]setting{
	"Key":                     of(forBoth, func(c *secure.Config) { c.Key = otherKey }),
	"NextKey":                 of(forHosts, func(c *secure.Config) { c.NextKey = otherKey }),
	"Trust":                   of(forBoth, func(c *secure.Config) { c.Trust = keys.Pin(otherKey.Public()) }),
	"Pattern":                 of(forBoth, func(c *secure.Config) { c.Pattern = handshake.IK }),
	"AllowAnonymous":          of(forHosts, func(c *secure.Config) { c.AllowAnonymous = true }),
	"PSK":                     of(forBoth, func(c *secure.Config) { c.PSK = psk }),
	"Classical":               of(forBoth, func(c *secure.Config) { c.Classical = true }),
	"RekeyInterval":           of(forBoth, func(c *secure.Config) { c.RekeyInterval = time.Minute }),
	"RehandshakeInterval":     {set: func(c *secure.Config) { c.RehandshakeInterval = time.Minute }, client: true},
	"MaxHalfOpen":             of(forHosts, func(c *secure.Config) { c.MaxHalfOpen = 2 }),
	"MaxHalfOpenPerUser":      of(forHosts, func(c *secure.Config) { c.MaxHalfOpenPerUser = 2 }),
	"SkipInProcessEncryption": of(forBoth, func(c *secure.Config) { c.SkipInProcessEncryption = true }),

	"Transport.Peer":                     of(forBoth, func(c *secure.Config) { c.Transport.Peer = peer.SameUser() }),
	"Transport.Logger":                   of(forBoth, func(c *secure.Config) { c.Transport.Logger = slog.New(slog.DiscardHandler) }),
	"Transport.OnError":                  of(forHosts, func(c *secure.Config) { c.Transport.OnError = func(error) {} }),
	"Transport.Dir":                      of(forBoth, nil), // the world's
	"Transport.Shared":                   of(forHosts, func(c *secure.Config) { transporttest.Open(c.Transport.Dir); c.Transport.Shared = true }),
	"Transport.BufferSize":               of(forBoth, func(c *secure.Config) { c.Transport.BufferSize = transport.MinBufferSize }),
	"Transport.MaxMessageSize":           of(forBoth, func(c *secure.Config) { c.Transport.MaxMessageSize = 1000 }),
	"Transport.MaxConnections":           of(forHosts, func(c *secure.Config) { c.Transport.MaxConnections = 2 }),
	"Transport.HandshakeTimeout":         of(forBoth, func(c *secure.Config) { c.Transport.HandshakeTimeout = limit }),
	"Transport.Attested":                 of(forBoth, func(c *secure.Config) { c.Transport.Attested = true }),
	"Transport.HighPerformanceThreshold": of(forBoth, func(c *secure.Config) { c.Transport.HighPerformanceThreshold = -1 }),
	"Transport.ReceiverPriority":         of(forHosts, func(c *secure.Config) { c.Transport.ReceiverPriority = transport.PriorityLow }),
	"Transport.LogThroughput": of(forHosts, func(c *secure.Config) {
		c.Transport.LogThroughput, c.Transport.Logger = true, slog.New(slog.DiscardHandler)
	}),
	"Transport.Carrier":     of(forBoth, func(c *secure.Config) { c.Transport.Carrier, _ = rendezvous.System() }),
	"Transport.Security":    {set: func(c *secure.Config) { c.Transport.Security = struct{ conn.Security }{} }}, // the package's own
	"Transport.NoInProcess": of(forBoth, func(c *secure.Config) { c.Transport.NoInProcess = true }),
}

// fields returns the exported fields of Config and of its Transport.
func fields() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[secure.Config]()) {
		if f.Name != "Transport" {
			names = append(names, f.Name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[transport.Config]()) {
		if f.IsExported() {
			names = append(names, "Transport."+f.Name)
		}
	}
	return names
}

// field is a field of a Config by its name.
func field(c *secure.Config, name string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for part := range strings.SplitSeq(name, ".") {
		v = v.FieldByName(part)
	}
	return v
}

// TestEveryFieldIsForItsRoles: a field is used by a role or refused for it. A new
// field needs a row.
func TestEveryFieldIsForItsRoles(t *testing.T) {
	require.ElementsMatch(t, fields(), slices.Collect(maps.Keys(settings)))
	for name, row := range settings {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if row.set == nil && w.dir == "" {
				t.Skip("needs endpoints in a directory, as on Linux")
			}
			with := func(c *secure.Config) *secure.Config {
				w.in(c)
				if row.set != nil {
					row.set(c)
				}
				require.False(t, field(c, name).IsZero(), "the row does not set its field")
				return c
			}
			h, err := secure.NewSecureHost(w.endpoint, func(context.Context, transport.Message[[]byte]) {}, with(hostConfig(nil)))
			if row.host {
				require.NoError(t, err)
				require.NoError(t, h.Close())
			} else {
				require.ErrorIs(t, err, transport.ErrConfig)
			}
			_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, with(clientConfig(nil)))
			if row.client {
				require.ErrorIs(t, err, transport.ErrNoHost)
			} else {
				require.ErrorIs(t, err, transport.ErrConfig)
			}
		})
	}
}

// TestStricterPolicyIsKept: a peer policy of either side holds on every way.
func TestStricterPolicyIsKept(t *testing.T) {
	nobody := func(c *secure.Config) { c.Transport.Peer = peer.Not(peer.SameUser()) }
	for _, way := range []struct {
		name string
		set  func(*secure.Config)
	}{{"kernel", func(*secure.Config) {}}, {"in-process", skip}} {
		t.Run(way.name, func(t *testing.T) {
			w := newWorld(t)
			h := w.echo(t, hostConfig(nil, way.set, nobody))
			_, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, way.set)))
			require.ErrorIs(t, err, peer.ErrRefused)
			require.ErrorIs(t, await(t, w.failures), peer.ErrRefused)
			require.NoError(t, h.Close())
			w.echo(t, hostConfig(nil, way.set))
			_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, way.set, nobody)))
			require.ErrorIs(t, err, peer.ErrRefused)
		})
	}
}
