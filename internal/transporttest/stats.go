package transporttest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

var statsTests = []test{
	{"StatsInALogger", testStatsInLogger},
	{"StatsWhileClosing", testStatsWhileClosing},
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

// Stats does not wait for a Close that waits for the host, as those do that coalesce.
func testStatsWhileClosing(t *testing.T, e *env) {
	if !e.coalesces() || e.inside {
		return
	}
	for range 5 {
		if statsWhileClosing(t, newEnv(t, e.Layer, e.variant)) {
			return
		}
		// Perhaps Close was not in time to wait for the Send.
	}
	require.Fail(t, "Stats waits for Close")
}

// statsWhileClosing reports whether Stats has returned before a Close that waits for
// a Send.
func statsWhileClosing(t *testing.T, e *env) (before bool) {
	entered, free := make(chan struct{}, 1), make(chan struct{})
	host(t, e.Strings, func(context.Context, transport.Message[string]) {
		entered <- struct{}{}
		<-free
	}, e.config())
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "hello"))
	await(t, entered)
	ctx, cancel := context.WithCancel(context30(t))
	sending := make(chan struct{})
	join := meanwhile(func() {
		large := strings.Repeat("x", beyondBuffers)
		close(sending)
		_ = c.Send(ctx, large)
	})
	await(t, sending)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = c.Close()
	}()
	require.Eventually(t, func() bool { return c.Peer() == nil }, limit, tick)
	_ = c.Stats()
	select {
	case <-closed:
	default:
		before = true
	}
	cancel()
	close(free)
	join()
	await(t, closed)
	return before
}
