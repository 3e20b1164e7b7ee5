package transporttest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// testConfig: every impossible or contradictory setting is refused by every
// constructor, before anything is made.
func testConfig(t *testing.T, l Layer) {
	table := []struct {
		name string
		set  func(*transport.Config)
	}{
		{"relative directory", func(c *transport.Config) { c.Dir = "endpoints" }},
		{"buffer not a power of two", func(c *transport.Config) { c.BufferSize = 100_000 }},
		{"buffer too small", func(c *transport.Config) { c.BufferSize = transport.MinBufferSize / 2 }},
		{"buffer too large", func(c *transport.Config) { c.BufferSize = 2 * transport.MaxBufferSize }},
		{"negative buffer", func(c *transport.Config) { c.BufferSize = -transport.MinBufferSize }},
		{"negative message size", func(c *transport.Config) { c.MaxMessageSize = -1 }},
		{"message size beyond all bounds", func(c *transport.Config) { c.MaxMessageSize = transport.LargestMaxMessageSize + 1 }},
		{"negative connections", func(c *transport.Config) { c.MaxConnections = -1 }},
		{"negative timeout", func(c *transport.Config) { c.HandshakeTimeout = -1 }},
		{"threshold below -1", func(c *transport.Config) { c.HighPerformanceThreshold = -2 }},
		{"no such priority", func(c *transport.Config) { c.ReceiverPriority = transport.PriorityHigh + 1 }},
		{"negative priority", func(c *transport.Config) { c.ReceiverPriority = -1 }},
		{"attested memory", func(c *transport.Config) { c.Attested, c.BufferSize = true, 1<<20 }},
		{"attested polling", func(c *transport.Config) { c.Attested, c.HighPerformanceThreshold = true, 1000 }},
		{"throughput without logger", func(c *transport.Config) { c.LogThroughput = true }},
		{"impossible policy", func(c *transport.Config) { c.Peer = peer.AllOf() }},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			e := newEnv(t, l, variants[0])
			cfg := e.config(row.set)
			_, err := l.Listen(e.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = l.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {}), cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = l.Dial(context30(t), e.endpoint, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			_, err = l.Strings.NewClient(context30(t), e.endpoint, nil, cfg)
			assert.ErrorIs(t, err, transport.ErrConfig)
			assert.NoDirExists(t, e.dir)
		})
	}
	t.Run("no handler", func(t *testing.T) {
		e := newEnv(t, l, variants[0])
		_, err := l.Strings.NewHost(e.endpoint, transport.Service[string]{}, e.config())
		assert.ErrorIs(t, err, transport.ErrConfig)
	})
	t.Run("extremes that are allowed", func(t *testing.T) {
		e := newEnv(t, l, variants[0])
		h, err := l.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {}), e.config(func(c *transport.Config) {
			c.BufferSize, c.MaxMessageSize = transport.MinBufferSize, transport.LargestMaxMessageSize
			c.MaxConnections, c.HandshakeTimeout, c.HighPerformanceThreshold = math.MaxInt, 1<<62, -1
			c.Logger = slog.New(slog.DiscardHandler)
		}))
		require.NoError(t, err)
		c, err := l.Strings.NewClient(context30(t), e.endpoint, nil, e.config())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, h.Close())
	})
	t.Run("directory that is not clean", func(t *testing.T) {
		e := newEnv(t, l, variants[0])
		if e.dir == "" {
			return
		}
		h := host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config(func(c *transport.Config) { c.Dir += "/./" }))
		for _, outside := range []bool{false, true} {
			client(t, e.Strings, e.config(func(c *transport.Config) { c.NoInProcess = outside }))
		}
		connected(t, h, 2)
		assert.DirExists(t, e.dir)
	})
	t.Run("directory where Mach has none", func(t *testing.T) {
		e := newEnv(t, l, machPorts)
		cfg := e.config(func(c *transport.Config) { c.Dir = t.TempDir() })
		_, err := l.Listen(e.endpoint, cfg)
		assert.ErrorIs(t, err, errors.ErrUnsupported)
		_, err = l.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {}), cfg)
		assert.ErrorIs(t, err, errors.ErrUnsupported)
		_, err = l.Dial(context30(t), e.endpoint, cfg)
		assert.ErrorIs(t, err, errors.ErrUnsupported)
		_, err = l.Strings.NewClient(context30(t), e.endpoint, nil, cfg)
		assert.ErrorIs(t, err, errors.ErrUnsupported)
	})
}
