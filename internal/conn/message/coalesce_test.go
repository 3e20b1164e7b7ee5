package message_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

var coalescing = message.Config{MaxSend: megabyte, MaxReceive: megabyte, Coalesce: true}

func send(t *testing.T, c *message.Conn, messages ...string) {
	t.Helper()
	for _, m := range messages {
		require.NoError(t, c.Send(hung(t), []byte(m)))
	}
}

func frame(t *testing.T, l link.Link) []string {
	t.Helper()
	f, err := l.ReadFrame(hung(t))
	require.NoError(t, err)
	return items(t, f)
}

// A peer that has dealt with everything gets each message at once and alone.
func TestNothingIsHeldBackFromAnIdlePeer(t *testing.T) {
	a, mine, raw := half(t, coalescing)
	ctx, cancel := context.WithCancel(hung(t))
	frames := make(chan []byte)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := raw.ReadFrame(ctx)
			if err != nil {
				return
			}
			frames <- f
		}
	}()
	for i := range 200 {
		require.NoError(t, mine.WaitDrained(ctx))
		send(t, a, fmt.Sprint(i))
		require.Equal(t, []string{fmt.Sprint(i)}, items(t, await(t, frames)))
	}
	cancel()
	<-done
}

// While the peer is behind messages share a frame, and it comes without a Flush
// when the peer has caught up.
func TestHeldBackWhileBehindAndPushedOutAfter(t *testing.T) {
	a, mine, raw := half(t, coalescing)
	send(t, a, "first", "second", "", "fourth")
	require.EqualValues(t, 1, mine.Unacknowledged(), "frames")
	require.EqualValues(t, 4, a.Unacknowledged())
	assert.EqualValues(t, 4, a.Counters().SentMessages)
	require.Equal(t, []string{"first"}, frame(t, raw))
	require.Equal(t, []string{"second", "", "fourth"}, frame(t, raw)) // the first is dealt with
	send(t, a, "fifth")
	send(t, a, "sixth") // the flusher works more than once
	var got []string
	for len(got) < 2 {
		got = append(got, frame(t, raw)...)
	}
	require.Equal(t, []string{"fifth", "sixth"}, got)
}

func TestNothingIsHeldBackWithoutCoalesce(t *testing.T) {
	cfg := coalescing
	cfg.Coalesce = false
	a, mine, raw := half(t, cfg)
	send(t, a, "first", "second", "third")
	require.EqualValues(t, 3, mine.Unacknowledged())
	for _, want := range []string{"first", "second", "third"} {
		require.Equal(t, []string{want}, frame(t, raw))
	}
}

func TestFlushPushesOut(t *testing.T) {
	a, mine, raw := half(t, coalescing)
	send(t, a, "first", "second", "third")
	require.NoError(t, a.Flush(hung(t)))
	require.EqualValues(t, 2, mine.Unacknowledged())
	require.EqualValues(t, 3, a.Unacknowledged())
	require.NoError(t, a.Flush(hung(t)), "nothing to flush")
	require.EqualValues(t, 2, mine.Unacknowledged())
	require.Equal(t, []string{"first"}, frame(t, raw))
	require.Equal(t, []string{"second", "third"}, frame(t, raw))
}

// What is held back is bounded, keeps its order, and goes before what is large.
func TestHeldBackInOrderWithinBounds(t *testing.T) {
	a, mine, raw := half(t, coalescing)
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", 990)))
	}
	send(t, a, want...)
	require.GreaterOrEqual(t, mine.Unacknowledged(), uint64(3), "40 kB are more than is held back")
	large := strings.Repeat("y", mem.MaxFrame-4) // one frame, too large to share it
	send(t, a, large, "after it")
	want = append(want, large, "after it")
	require.NoError(t, a.CloseWrite(hung(t)))
	var got []string
	for {
		f, err := raw.ReadFrame(hung(t))
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if messages := items(t, f); len(messages) > 1 {
			require.LessOrEqual(t, len(f), 16<<10)
		}
		got = append(got, items(t, f)...)
	}
	require.Equal(t, want, got)
}

func TestHeldBackGoesBeforePieces(t *testing.T) {
	a, b := pair(t, coalescing)
	send(t, a, "first", "held")
	sent := make(chan error, 1)
	go func() { sent <- a.Send(hung(t), pattern(megabyte)) }()
	for _, want := range []string{"first", "held", string(pattern(megabyte))} {
		p, err := b.Receive(hung(t))
		require.NoError(t, err)
		require.True(t, want == string(p))
	}
	require.NoError(t, await(t, sent))
}

func TestEndsPushOutWhatIsHeldBack(t *testing.T) {
	ends := map[string]func(c *message.Conn) error{
		"CloseWrite": func(c *message.Conn) error { return c.CloseWrite(context.Background()) },
		"Close":      (*message.Conn).Close,
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			a, _, raw := half(t, coalescing)
			send(t, a, "first", "held")
			require.NoError(t, end(a))
			require.Equal(t, []string{"first"}, frame(t, raw))
			require.Equal(t, []string{"held"}, frame(t, raw))
			_, err := raw.ReadFrame(hung(t))
			require.Equal(t, io.EOF, err)
		})
	}
	t.Run("Abort does not", func(t *testing.T) {
		a, _, raw := half(t, coalescing)
		send(t, a, "first", "held")
		require.NoError(t, a.Abort())
		require.EqualValues(t, 2, a.Unacknowledged(), "it is known to be lost")
		require.Equal(t, []string{"first"}, frame(t, raw))
		_, err := raw.ReadFrame(hung(t))
		require.Equal(t, io.EOF, err)
	})
}

// Contexts that end while there is no room: what was accepted stays accepted,
// what was refused does not arrive.
func TestHeldBackWithoutRoom(t *testing.T) {
	a, mine, raw := half(t, coalescing)
	full := strings.Repeat("f", mem.MaxFrame-4)
	for range 3 {
		send(t, a, full)
	}
	// All that is left: each frame has a header of 4 bytes and is a multiple of 8, a
	// message has a word of 4, and the last 8 bytes stay free.
	filler := strings.Repeat("g", mem.Capacity-3*(mem.MaxFrame+8)-16)
	require.NoError(t, a.Send(hung(t), []byte(filler)))
	require.NoError(t, a.Flush(hung(t)))
	send(t, a, "held")
	ended, cancel := context.WithCancel(hung(t))
	blocked := make(chan error, 2)
	go func() { blocked <- a.Flush(ended) }()
	go func() { blocked <- a.Send(ended, []byte(full)) }() // must flush first
	cancel()
	for range 2 {
		require.ErrorIs(t, await(t, blocked), context.Canceled)
	}
	require.EqualValues(t, 4, mine.Unacknowledged())
	for range 4 {
		frame(t, raw)
	}
	require.Equal(t, []string{"held"}, frame(t, raw))
	send(t, a, "next")
	require.Equal(t, []string{"next"}, frame(t, raw))
}

func TestPeerThatDiesWhileSomethingIsHeldBack(t *testing.T) {
	a, _, raw := half(t, coalescing)
	send(t, a, "first", "held")
	require.NoError(t, raw.Close())
	require.ErrorIs(t, a.Flush(hung(t)), link.ErrPeerGone)
	require.ErrorIs(t, a.Send(hung(t), nil), link.ErrPeerGone)
	require.ErrorIs(t, a.CloseWrite(hung(t)), link.ErrPeerGone)
	require.EqualValues(t, 2, a.Unacknowledged())
	require.NoError(t, a.Close(), "there is nobody to push it out to")
}

// Counters are exact though the flusher may have the lock just then.
func TestCountersBesideTheFlusher(t *testing.T) {
	for range 300 {
		la, lb := mem.Pair()
		a, b := conn(t, la, message.Config{MaxSend: 100, MaxReceive: 100, Coalesce: true}), conn(t, lb, message.Config{MaxSend: 100, MaxReceive: 100})
		send(t, a, "ahead", "coalesced", "coalesced too")
		require.NoError(t, a.Flush(hung(t)))
		for range 3 {
			_, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.EqualValues(t, 3, a.Counters().SentMessages)
		}
	}
}
