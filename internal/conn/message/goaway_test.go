package message_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

// following returns two Conns of which the first ends when the second asks for it.
func following(t *testing.T, cfg message.Config) (a, b *message.Conn) {
	la, lb := mem.Pair()
	follows := cfg
	follows.FollowGoAway = true
	return conn(t, la, follows), conn(t, lb, cfg)
}

// A peer that asks for the end gets everything that was sent, also what was coalesced,
// although nobody calls Flush.
func TestGoAway(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := following(t, cfg)
		ctx := hung(t)
		const n = 500
		for i := range n {
			require.NoError(t, a.Send(ctx, fmt.Append(nil, i)))
		}
		b.GoAway()
		b.GoAway()
		// It is heard before anything is received, so that nobody else flushes.
		sent := n
		for sent < 10*n && a.Send(ctx, fmt.Append(nil, sent)) == nil { // as long as there is room
			sent++
			runtime.Gosched()
		}
		for i := range sent {
			p, err := b.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(p))
		}
		_, err := b.Receive(ctx)
		require.Equal(t, io.EOF, err)
		for range 2 {
			err := a.Send(ctx, nil)
			require.ErrorIs(t, err, message.ErrGoingAway)
			require.ErrorIs(t, err, link.ErrPeerGone)
		}
		require.Zero(t, a.Unacknowledged())
		require.NoError(t, b.Send(ctx, []byte("answer")))
		require.NoError(t, b.Flush(ctx))
		p, err := a.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "answer", string(p))
		require.NoError(t, a.Close())
		require.Equal(t, link.ErrClosed, a.Send(ctx, nil))
		require.NoError(t, b.Close())
		b.GoAway()
	})
}

// A Conn that is not told to follow goes on.
func TestGoAwayIsNotFollowed(t *testing.T) {
	la, lb := mem.Pair()
	a, b := conn(t, la, plain), conn(t, lb, plain)
	b.GoAway()
	await(t, la.GoingAway().Done())
	ctx := hung(t)
	for range 1000 {
		require.NoError(t, a.Send(ctx, []byte("on")))
		p, err := b.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "on", string(p))
		runtime.Gosched() // to what would follow
	}
}

// What was ended before stays so.
func TestGoAwayAfterTheEnd(t *testing.T) {
	follows := plain
	follows.FollowGoAway = true
	la, lb := mem.Pair()
	a, b := conn(t, la, follows), conn(t, lb, plain)
	require.NoError(t, a.CloseWrite(hung(t)))
	b.GoAway()
	await(t, la.GoingAway().Done())
	ctx := hung(t)
	for range 1000 {
		err := a.Send(ctx, []byte("on"))
		require.ErrorIs(t, err, link.ErrClosed)
		require.NotErrorIs(t, err, message.ErrGoingAway)
		runtime.Gosched()
	}
}

// Close ends a Conn that follows although its peer, which is full, does not read.
func TestGoAwayOfAPeerThatDoesNotRead(t *testing.T) {
	follows := plain
	follows.FollowGoAway = true
	a, _, raw := half(t, follows)
	sent := make(chan error, 1)
	go func() { sent <- a.Send(hung(t), make([]byte, megabyte)) }()
	_, err := raw.ReadFrame(hung(t))
	require.NoError(t, err)
	raw.GoAway()
	require.NoError(t, a.Close())
	require.ErrorIs(t, await(t, sent), link.ErrClosed)
	require.Equal(t, link.ErrClosed, a.Send(hung(t), nil), "this side has closed")
}

// countdown is a context that has ended when it was looked at so many times. Who waits for
// its end waits in vain.
type countdown struct {
	context.Context
	looks int
}

func (c *countdown) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// A peer that sends frames in which no message ends does not keep Receive beyond its
// context.
func TestContextEndsBetweenFragments(t *testing.T) {
	b, _, raw := half(t, plain)
	for range 20 {
		require.NoError(t, raw.WriteFrame(hung(t), first(megabyte, "unfinished"), nil))
	}
	ctx := &countdown{hung(t), 10}
	_, err := b.Receive(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, ctx.Context.Err(), "it did not wait")
	require.NoError(t, raw.WriteFrame(hung(t), whole("next"), nil))
	p, err := b.Receive(hung(t))
	require.NoError(t, err)
	require.Equal(t, "next", string(p))
}

// A message of many fragments does not keep Send beyond its context either, and what
// follows arrives.
func TestContextEndsWithinAMessage(t *testing.T) {
	a, b := pair(t, plain)
	ctx := &countdown{hung(t), 2}
	require.ErrorIs(t, a.Send(ctx, make([]byte, megabyte)), context.Canceled)
	require.NoError(t, ctx.Context.Err(), "it did not wait")
	require.NoError(t, a.Send(hung(t), []byte("next")))
	p, err := b.Receive(hung(t))
	require.NoError(t, err)
	require.Equal(t, "next", string(p))
}

// The same holds for a batch of many frames.
func TestContextEndsWithinABatch(t *testing.T) {
	a, b := pair(t, plain)
	batch := make([][]byte, 10)
	for i := range batch {
		batch[i] = make([]byte, 10<<10) // a frame of its own
	}
	sent, err := a.SendBatch(&countdown{hung(t), 3}, batch)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2, sent, "the first look was at the call")
	for range sent {
		p, err := b.Receive(hung(t))
		require.NoError(t, err)
		require.Len(t, p, 10<<10)
	}
	require.EqualValues(t, 0, a.Counters().SentMessages-b.Counters().ReceivedMessages)
}

// A Close that gives up says how many messages it could not send.
func TestCloseSaysWhatItGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := mem.Pair()
		defer lb.Close()
		a := message.NewConn(la, coalescing)
		ctx, cancel := context.WithCancel(t.Context())
		full := make(chan error, 1)
		go func() { // frames of their own, until there is no room
			var err error
			for err == nil {
				err = a.Send(ctx, make([]byte, 17_000))
			}
			full <- err
		}()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-full, context.Canceled)
		for range 3 {
			require.NoError(t, a.Send(t.Context(), make([]byte, 5000))) // no room for the three
		}
		err := a.Close()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "3 coalesced messages")
	})
}
