package message_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
)

func batch(messages ...string) (b [][]byte) {
	for _, m := range messages {
		b = append(b, []byte(m))
	}
	return b
}

func TestBatchSharesFrames(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, _, raw := half(t, cfg)
		n, err := a.SendBatch(hung(t), batch("one", "", "three"))
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Equal(t, []string{"one", "", "three"}, frame(t, raw))
		n, err = a.SendBatch(hung(t), nil)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, a.Flush(hung(t)))
		assert.EqualValues(t, 3, a.Counters().SentMessages)
		assert.EqualValues(t, 8, a.Counters().SentBytes)
	})
}

func TestBatchKeepsOrder(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		want := batch("small", strings.Repeat("m", 15<<10), strings.Repeat("n", 15<<10), "s", string(pattern(megabyte)), "t", strings.Repeat("u", 16<<10))
		sent := make(chan error, 1)
		go func() {
			if err := a.Send(hung(t), []byte("before")); err != nil {
				sent <- err
				return
			}
			_, err := a.SendBatch(hung(t), want)
			sent <- err
		}()
		for _, w := range append(batch("before"), want...) {
			p, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.True(t, string(w) == string(p))
		}
		require.NoError(t, await(t, sent))
	})
}

// Whatever a batch begins or ends with, no frame is empty, and the largest message is sent.
func TestBatchOfAnySizes(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		cfg.MaxSend = 200_000
		small, large, largest := "small", string(pattern(100_000)), string(pattern(cfg.MaxSend))
		a, b := pair(t, cfg)
		for _, sizes := range [][]string{{}, {large}, {small, large}, {large, small}, {large, large}, {largest}, {small}} {
			sent := make(chan error, 1)
			go func() {
				n, err := a.SendBatch(hung(t), batch(sizes...))
				assert.Equal(t, len(sizes), n)
				sent <- err
			}()
			for _, want := range sizes {
				p, err := b.Receive(hung(t))
				require.NoError(t, err)
				require.True(t, want == string(p))
			}
			require.NoError(t, await(t, sent))
		}
	})
}

// What is too large is refused, and what comes before it is sent.
func TestBatchWithMessageTooLarge(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		n, err := a.SendBatch(hung(t), batch("one", strings.Repeat("x", cfg.MaxSend+1), "three"))
		require.ErrorIs(t, err, message.ErrTooLarge)
		require.Equal(t, 1, n)
		send(t, a, "next")
		for _, want := range []string{"one", "next"} {
			p, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.Equal(t, want, string(p))
		}
		// What was coalesced is counted after it was written.
		require.NoError(t, a.Flush(hung(t)))
		assert.EqualValues(t, 2, a.Counters().SentMessages)
	})
}

// A batch that waits for room sends no more when its context ends, and says how
// many it has sent.
func TestBatchWithoutRoom(t *testing.T) {
	a, b := pair(t, message.Config{MaxSend: megabyte, MaxReceive: megabyte})
	var all [][]byte
	for range 1000 {
		all = append(all, pattern(10<<10))
	}
	ctx, cancel := context.WithCancel(hung(t))
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := a.SendBatch(ctx, all)
		done <- result{n, err}
	}()
	_, err := b.Receive(hung(t)) // it has begun
	require.NoError(t, err)
	cancel()
	r := await(t, done)
	require.ErrorIs(t, r.err, context.Canceled)
	require.Greater(t, r.n, 0)
	require.Less(t, r.n, len(all))
	require.NoError(t, a.Close())
	got := 1
	for {
		if _, err := b.Receive(hung(t)); err != nil {
			break
		}
		got++
	}
	assert.Equal(t, r.n, got)
}

// Unacknowledged counts messages, whatever frames they travel in.
func TestUnacknowledgedCountsMessages(t *testing.T) {
	a, mine, raw := half(t, message.Config{MaxSend: megabyte, MaxReceive: megabyte})
	send(t, a, "1")
	_, err := a.SendBatch(hung(t), batch("2", "3", "4"))
	require.NoError(t, err)
	require.NoError(t, a.Accept(hung(t)))
	large := make([]byte, mine.MaxFrame()+1)
	require.NoError(t, a.Send(hung(t), large))
	_, err = a.SendBatch(hung(t), batch("6", "7"))
	require.NoError(t, err)
	// A frame is acknowledged when the next one is read.
	ended, cancel := context.WithCancel(hung(t))
	cancel()
	for _, want := range []uint64{7, 7, 6, 3, 3, 3, 2} {
		require.Equal(t, want, a.Unacknowledged())
		_, _ = raw.ReadFrame(ended)
	}
	require.Zero(t, a.Unacknowledged())
	require.NoError(t, raw.Close())
	require.ErrorIs(t, a.Send(hung(t), nil), link.ErrPeerGone)
}
