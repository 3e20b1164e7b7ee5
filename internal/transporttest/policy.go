package transporttest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// notThisUser refuses the user that runs this test.
func notThisUser() peer.Policy { return peer.Not(peer.SameUser()) }

// A client that the host refuses is told only that; the host's log has the rule and
// the client's identity.
func testRefusedByHost(t *testing.T, e *env) {
	log := logBook{arrived: make(chan slog.Record, 8)}
	failures := make(chan error, 8)
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {
		t.Error("a refused client's message arrived")
	}, e.config(func(c *transport.Config) {
		c.Peer, c.Logger = notThisUser(), slog.New(&log)
		c.OnError = func(err error) { failures <- err }
	}))
	_, err := e.Strings.NewClient(context30(t), e.endpoint, nil, e.config())
	require.ErrorIs(t, err, transport.ErrRefused)
	require.ErrorIs(t, err, peer.ErrRefused)
	var detail *peer.RefusedError
	assert.False(t, errors.As(err, &detail), "the client is told the host's rule: %v", err)

	detail, documented := (await(t, failures)).(*peer.RefusedError)
	require.True(t, documented, "OnError gets another type than its documentation says")
	assert.Equal(t, notThisUser().String(), detail.Rule)
	await(t, log.arrived)
	self := e.self(t)
	assert.True(t, log.has("peer refused", notThisUser().String()), log.all())
	assert.True(t, log.has("peer refused", self.Token().String()), log.all())
	if program, err := os.Executable(); err == nil {
		assert.True(t, log.has("peer refused", program) || e.mach, log.all())
	}
	assert.EqualValues(t, 1, h.Stats().Refused)
	assert.Zero(t, h.Stats().Accepted)
}

// A client that refuses the host gets its own rule as the error, and sends nothing.
func testRefusedByClient(t *testing.T, e *env) {
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {
		t.Error("a message arrived at a refused host")
	}, e.config())
	_, err := e.Strings.NewClient(context30(t), e.endpoint, nil, e.config(func(c *transport.Config) { c.Peer = notThisUser() }))
	require.ErrorIs(t, err, peer.ErrRefused)
	assert.NotErrorIs(t, err, transport.ErrRefused, "it was not the other side")
	assert.ErrorContains(t, err, "this side's Config.Peer does not accept the host (pid ")
	var detail *peer.RefusedError
	require.ErrorAs(t, err, &detail)
	assert.Equal(t, notThisUser().String(), detail.Rule)
	assert.Zero(t, h.Stats().Refused)

	// And the host serves others.
	host, err := e.Strings.NewClient(context30(t), e.endpoint, nil, e.config(func(c *transport.Config) { c.Peer = peer.SameUser() }))
	require.NoError(t, err)
	require.NoError(t, host.Close())
}

func testPriority(t *testing.T, e *env) {
	low := e.config(func(c *transport.Config) { c.ReceiverPriority = transport.PriorityLow })
	got := make(chan int, 1)
	host(t, e.Strings, func(context.Context, transport.Message[string]) { got <- threadNice() }, low)
	c := client(t, e.Strings, e.config())
	require.NoError(t, c.Send(context30(t), "how nice?"))
	nice := await(t, got)
	if runtime.GOOS == "linux" {
		assert.Equal(t, 10, nice)
	}
}
