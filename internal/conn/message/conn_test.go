package message_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

func TestMessagesOfAllSizesArrive(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		ctx := hung(t)
		sizes := []int{0, 1, 2, 3, 4, 5, 4095, 4096, 4097, 2*mem.MaxFrame - 24, mem.Capacity, megabyte, 4 * megabyte}
		for _, edge := range []int{12 << 10, mem.MaxFrame, 2 * 12 << 10} {
			for d := -13; d <= 13; d++ {
				sizes = append(sizes, edge+d)
			}
		}
		sent := make(chan error, 1)
		go func() {
			for _, size := range sizes {
				if err := a.Send(ctx, pattern(size)); err != nil {
					sent <- err
					return
				}
			}
			sent <- a.Flush(ctx)
		}()
		for _, size := range sizes {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.True(t, string(p) == string(pattern(size)), "%d bytes arrived as %d", size, len(p))
			clear(p) // it is ours
		}
		require.NoError(t, await(t, sent))
	})
}

func TestLargeMessageIsSplitIntoFrames(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, _, raw := half(t, cfg)
		ctx := hung(t)
		for _, size := range []int{mem.MaxFrame - 3, mem.MaxFrame, 100_000} {
			p := pattern(size)
			sent := make(chan error, 1)
			go func() { sent <- a.Send(ctx, p) }()
			frame, err := raw.ReadFrame(ctx)
			require.NoError(t, err)
			got := append([]byte(nil), frame[12:]...)
			require.Equal(t, first(uint64(size), string(got)), frame)
			for len(got) < size {
				frame, err := raw.ReadFrame(ctx)
				require.NoError(t, err)
				require.LessOrEqual(t, len(frame), mem.MaxFrame)
				require.Equal(t, next(string(frame[4:])), frame)
				got = append(got, frame[4:]...)
			}
			require.NoError(t, await(t, sent))
			require.True(t, string(p) == string(got))
		}
		// The largest that fits is not split.
		require.NoError(t, a.Send(ctx, make([]byte, mem.MaxFrame-4)))
		frame, err := raw.ReadFrame(ctx)
		require.NoError(t, err)
		require.Len(t, items(t, frame), 1)
	})
}

func TestEndOfFileAfterCloseWrite(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		ctx := hung(t)
		for i := range 5 {
			require.NoError(t, a.Send(ctx, fmt.Append(nil, i)))
		}
		require.NoError(t, a.CloseWrite(ctx))
		require.ErrorIs(t, a.CloseWrite(ctx), link.ErrClosed)
		require.ErrorIs(t, a.Send(ctx, nil), link.ErrClosed)
		for i := range 5 {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(p))
		}
		for range 2 {
			_, err := b.Receive(ctx)
			require.Equal(t, io.EOF, err)
		}
		require.NoError(t, b.Send(ctx, []byte("the other direction")))
		p, err := a.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "the other direction", string(p))
	})
}

func TestEndOfFileAfterClose(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		ctx := hung(t)
		for i := range 5 {
			require.NoError(t, a.Send(ctx, fmt.Append(nil, i)))
		}
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		await(t, b.Gone().Done())
		for i := range 5 {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(p))
		}
		_, err := b.Receive(ctx)
		require.Equal(t, io.EOF, err)
		require.ErrorIs(t, b.Send(ctx, nil), link.ErrPeerGone)
		require.ErrorIs(t, b.Send(ctx, nil), link.ErrPeerGone, "it is final")
	})
}

// mortal is a link that reports the end of its peer as a death.
type mortal struct{ link.Link }

func (l mortal) ReadFrame(ctx context.Context) ([]byte, error) {
	frame, err := l.Link.ReadFrame(ctx)
	if err == io.EOF {
		err = link.ErrPeerGone
	}
	return frame, err
}

func TestPeerGoneAfterDeath(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		mine, raw := mem.Pair()
		b, ctx := conn(t, mortal{mine}, cfg), hung(t)
		require.NoError(t, raw.WriteFrame(ctx, whole("last words"), nil))
		require.NoError(t, raw.WriteFrame(ctx, first(100, "half of"), nil))
		require.NoError(t, raw.Close())
		p, err := b.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "last words", string(p))
		for range 2 {
			_, err = b.Receive(ctx)
			require.ErrorIs(t, err, link.ErrPeerGone)
			require.NotErrorIs(t, err, io.EOF)
		}
	})
}

// A Send that ends half-way with its context leaves a connection on which the
// next message arrives whole, small or large.
func TestCancelledWithinLargeMessage(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		for _, size := range []int{3, megabyte} {
			la, lb := mem.Pair()
			a, b := conn(t, la, cfg), conn(t, lb, cfg)
			ctx := hung(t)
			short, cancel := context.WithCancel(ctx)
			sent := make(chan error, 1)
			go func() { sent <- a.Send(short, pattern(2*megabyte)) }()
			for !la.Backlogged() {
				runtime.Gosched() // until a part of it is in the link
			}
			cancel()
			require.ErrorIs(t, await(t, sent), context.Canceled)
			go func() { sent <- a.Send(ctx, pattern(size)) }()
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.True(t, string(p) == string(pattern(size)))
			require.NoError(t, await(t, sent))
			require.Equal(t, message.Counters{SentMessages: 1, SentBytes: uint64(size)}, a.Counters())
		}
	})
}

func TestEndOfFileWithinGivenUpMessage(t *testing.T) {
	b, _, raw := half(t, message.Config{MaxReceive: megabyte})
	ctx := hung(t)
	require.NoError(t, raw.WriteFrame(ctx, first(100, "half of"), nil))
	require.NoError(t, raw.CloseWrite(t.Context()))
	_, err := b.Receive(ctx)
	require.Equal(t, io.EOF, err)
}

func TestSendRefusesWhatIsTooLarge(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		cfg.MaxSend = 100_000
		a, _, raw := half(t, cfg)
		ctx := hung(t)
		err := a.Send(ctx, make([]byte, 100_001))
		require.ErrorIs(t, err, message.ErrTooLarge)
		require.NoError(t, a.Send(ctx, []byte("fits")))
		frame, err := raw.ReadFrame(ctx)
		require.NoError(t, err)
		require.Equal(t, whole("fits"), frame, "nothing of the large one was sent")
	})
}

// Frames that break the rules: an error that stays, after the messages before,
// which are counted.
func TestReceiveRefuses(t *testing.T) {
	const most = 1000
	table := map[string][][]byte{
		"an empty frame":                   {{}},
		"half a word":                      {{1, 0}},
		"an unknown kind":                  {word(3, 0)},
		"a message beyond its frame":       {append(word(0, 5), "four"...)},
		"a message above the limit":        {whole(string(make([]byte, most+1)))},
		"half a word after a message":      {append(whole("fine"), 0, 0, 0)},
		"a first fragment without size":    {append(word(1, 0), 1, 2, 3)},
		"a first fragment that is all":     {first(4, "four")},
		"a first fragment that is more":    {first(3, "four")},
		"a first fragment of nothing":      {first(0, "")},
		"a size above the limit":           {first(most+1, "four")},
		"a size of 2^63":                   {first(1<<63, "four")},
		"a size of 2^64-1":                 {first(1<<64-1, "four")},
		"a first fragment beyond frame":    {append(binary.LittleEndian.AppendUint64(word(1, 5), 100), "four"...)},
		"a first fragment with more after": {append(first(100, "four"), whole("x")...)},
		"a next piece without a first":     {next("four")},
		"a next piece after the last":      {first(8, "four"), next("four"), next("four")},
		"a next piece that is too long":    {first(8, "four"), next("fiver")},
		"an empty next piece":              {first(8, "four"), next("")},
		"a next piece beyond its frame":    {first(80, "four"), append(word(2, 5), "four"...)},
		"a next piece with more after":     {first(80, "four"), append(next("four"), whole("x")...)},
		"a next piece after a whole":       {first(8, "four"), whole("x"), next("four")},
	}
	for name, frames := range table {
		t.Run(name, func(t *testing.T) {
			b, _, raw := half(t, message.Config{MaxSend: most, MaxReceive: most})
			ctx := hung(t)
			// In one frame with good ones, if it can be.
			frames[0] = append(append(whole("good 1"), whole("good 2")...), frames[0]...)
			if name == "an empty frame" {
				frames = [][]byte{frames[0], {}}
			}
			for _, f := range frames {
				require.NoError(t, raw.WriteFrame(ctx, f, nil))
			}
			var err error
			var got []string
			for err == nil {
				var p []byte
				if p, err = b.Receive(ctx); err == nil {
					got = append(got, string(p))
				}
			}
			require.ErrorIs(t, err, link.ErrProtocol)
			require.GreaterOrEqual(t, len(got), 2)
			require.Equal(t, []string{"good 1", "good 2"}, got[:2])
			assert.EqualValues(t, len(got), b.Counters().ReceivedMessages)
			require.NoError(t, raw.WriteFrame(ctx, whole("too late"), nil))
			_, err = b.Receive(ctx)
			require.ErrorIs(t, err, link.ErrProtocol, "it is final")
			require.NoError(t, b.Send(ctx, []byte("the other direction")), "which lives")
		})
	}
}

// The largest message that may be received is, whole and in fragments.
func TestReceiveTheLargest(t *testing.T) {
	const most = 1000
	b, _, raw := half(t, message.Config{MaxSend: most, MaxReceive: most})
	p := string(pattern(most))
	for _, frame := range [][]byte{whole(p), first(most, p[:600]), next(p[600:])} {
		require.NoError(t, raw.WriteFrame(hung(t), frame, nil))
	}
	for range 2 {
		got, err := b.Receive(hung(t))
		require.NoError(t, err)
		require.Equal(t, p, string(got))
	}
}

// What a peer announces costs memory only as it is sent.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	const huge = min(1<<34, math.MaxInt)
	b, _, raw := half(t, message.Config{MaxReceive: huge})
	ctx, cancel := context.WithCancel(hung(t))
	require.NoError(t, raw.WriteFrame(ctx, first(huge, string(make([]byte, 1000))), nil))
	received := make(chan error, 1)
	go func() {
		_, err := b.Receive(ctx)
		received <- err
	}()
	sent := 1000
	for range 300 {
		require.NoError(t, raw.WriteFrame(ctx, next(string(make([]byte, 16_000))), nil))
		sent += 16_000
	}
	require.NoError(t, raw.WaitDrained(ctx))
	cancel()
	require.ErrorIs(t, await(t, received), context.Canceled)
	assert.LessOrEqual(t, b.AssemblyMemory(), 2*sent+megabyte)
	// It goes when small messages follow.
	require.NoError(t, raw.WriteFrame(hung(t), whole("small"), nil))
	_, err := b.Receive(hung(t))
	require.NoError(t, err)
	assert.Zero(t, b.AssemblyMemory())
}

func TestSendsConcurrently(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		const senders, n = 8, 200
		a, b := pair(t, cfg)
		ctx := hung(t)
		var all sync.WaitGroup
		for s := range senders {
			all.Go(func() {
				for i := range n {
					p := make([]byte, 2+i%3*20_000)
					for j := range p {
						p[j] = byte(s)
					}
					p[1] = byte(i)
					assert.NoError(t, a.Send(ctx, p))
					a.Counters()
				}
				assert.NoError(t, a.Flush(ctx))
			})
		}
		counts := make([]int, senders)
		var bytes uint64
		for range senders * n {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			s := p[0]
			require.EqualValues(t, counts[s]%256, p[1], "out of order")
			counts[s]++
			bytes += uint64(len(p))
			for _, x := range p[2:] {
				if x != s {
					require.FailNow(t, "mixed up")
				}
			}
		}
		all.Wait()
		assert.Equal(t, message.Counters{SentMessages: senders * n, SentBytes: bytes}, a.Counters())
		assert.Equal(t, message.Counters{ReceivedMessages: senders * n, ReceivedBytes: bytes}, b.Counters())
	})
}

func TestCloseUnblocksEveryone(t *testing.T) {
	for _, end := range map[string]func(c *message.Conn) error{
		"Close": (*message.Conn).Close, "Abort": (*message.Conn).Abort,
		"Interrupt": func(c *message.Conn) error { c.Interrupt(); return nil },
	} {
		// Coalesce: Close would first wait for room for what is held back.
		a, link1, _ := half(t, message.Config{MaxSend: 4 * megabyte, MaxReceive: megabyte})
		ctx := hung(t)
		ended := make(chan error, 3)
		go func() {
			_, err := a.Receive(ctx)
			ended <- err
		}()
		for range 2 {
			go func() { ended <- a.Send(ctx, make([]byte, 4*megabyte)) }()
		}
		for !link1.Backlogged() {
			runtime.Gosched()
		}
		require.NoError(t, end(a))
		for range 3 {
			require.ErrorIs(t, await(t, ended), link.ErrClosed)
		}
		_, err := a.Receive(ctx)
		require.ErrorIs(t, err, link.ErrClosed)
		require.ErrorIs(t, a.Send(ctx, nil), link.ErrClosed)
	}
}

func TestEndedContext(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.Send(ended, nil), context.Canceled)
		require.ErrorIs(t, a.Flush(ended), context.Canceled)
		_, err := b.Receive(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, a.Send(t.Context(), []byte("x")))
		_, err = b.Receive(ended) // although a message is there, which stays
		require.ErrorIs(t, err, context.Canceled)
		p, err := b.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, "x", string(p))
	})
}

func TestCountersAreExactWhenIdle(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		ctx := hung(t)
		var want message.Counters
		for i, size := range []int{0, 1, 100, 50_000, 3, 20_000, 0} {
			sent := make(chan error, 1)
			go func() { sent <- a.Send(ctx, make([]byte, size)) }()
			_, err := b.Receive(ctx)
			require.NoError(t, err)
			require.NoError(t, await(t, sent))
			want.SentMessages, want.SentBytes = uint64(i+1), want.SentBytes+uint64(size)
			require.Equal(t, want, a.Counters())
			require.Equal(t, message.Counters{ReceivedMessages: want.SentMessages, ReceivedBytes: want.SentBytes}, b.Counters())
		}
		require.NoError(t, b.Close())
		if !cfg.Coalesce { // else it may be held back, and counts
			require.ErrorIs(t, a.Send(ctx, []byte("x")), link.ErrPeerGone)
			require.Equal(t, want, a.Counters(), "what was not sent does not count")
		}
		require.NoError(t, a.Close())
		require.Equal(t, want, a.Counters())
	})
}
