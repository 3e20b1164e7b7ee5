package transporttest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

var statsTests = []test{
	{"StatsInALogger", testStatsInLogger},
	{"StatsNameTheCarrier", testCarrier},
}

// onDisconnected is a slog.Handler that calls itself for "disconnected".
type onDisconnected func()

func (onDisconnected) Enabled(context.Context, slog.Level) bool { return true }
func (f onDisconnected) WithAttrs([]slog.Attr) slog.Handler     { return f }
func (f onDisconnected) WithGroup(string) slog.Handler          { return f }

func (f onDisconnected) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "disconnected" {
		f()
	}
	return nil
}

// A Logger may ask the Client that logs for its Stats, whoever notices first that the
// host has gone: the Client on its own, or Close.
func testStatsInLogger(t *testing.T, e *env) {
	for name, notice := range map[string]func(c *transport.Client[string]) error{
		"by itself": func(*transport.Client[string]) error { return nil },
		"Close":     func(c *transport.Client[string]) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for range e.repeat(20) {
				e, ctx := newEnv(t, e.Layer, e.variant), context30(t)
				handled := make(chan string, 1)
				h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { handled <- m.Body }, e.config())
				ready, stats := make(chan *transport.Client[string], 1), make(chan transport.Stats, 1)
				c := client(t, e.Strings, e.config(func(c *transport.Config) {
					c.Logger = slog.New(onDisconnected(func() { stats <- (<-ready).Stats() }))
				}))
				require.NoError(t, c.Send(ctx, "hello"))
				await(t, handled)
				ready <- c
				require.NoError(t, h.Shutdown(ctx))
				noticed := make(chan error, 1)
				go func() { noticed <- notice(c) }()
				require.NoError(t, await(t, noticed))
				if name != "Close" { // which may be first, and then no host is lost
					assert.EqualValues(t, 1, await(t, stats).SentMessages)
				}
			}
		})
	}
}

// Both sides say what carries their messages, and a Client says it of now.
func testCarrier(t *testing.T, e *env) {
	want := map[string]string{inMemory.name: "ring", attested.name: "socket", machPorts.name: "mach", inProcess.name: "memory"}[e.name]
	ctx, ofSession := context30(t), make(chan string, 1)
	h := host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { ofSession <- m.Session.Stats().Carrier }, e.config())
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(ctx, "hello"))
	assert.Equal(t, want, await(t, ofSession))
	assert.Equal(t, want, c.Stats().Carrier)
	assert.Empty(t, h.Stats().Carrier, "sessions may differ")
	assert.Zero(t, h.Stats().Fallbacks)
	require.NoError(t, c.Close())
	assert.Empty(t, c.Stats().Carrier)
}
