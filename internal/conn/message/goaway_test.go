package message_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
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
	a, b := pair(t, plain)
	b.GoAway()
	require.NoError(t, a.Send(hung(t), []byte("on")))
	p, err := b.Receive(hung(t))
	require.NoError(t, err)
	require.Equal(t, "on", string(p))
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

// A peer that sends frames in which no message ends does not keep Receive beyond its
// context.
func TestContextEndsBetweenFragments(t *testing.T) {
	b, _, raw := half(t, plain)
	ctx, cancel := context.WithCancel(hung(t))
	written := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			if i == 1000 {
				cancel()
			}
			err = raw.WriteFrame(context.Background(), first(megabyte, "unfinished"), nil)
		}
		written <- err
	}()
	received := make(chan error, 1)
	go func() {
		_, err := b.Receive(ctx)
		received <- err
	}()
	require.ErrorIs(t, await(t, received), context.Canceled)
	require.NoError(t, b.Close())
	require.ErrorIs(t, await(t, written), link.ErrPeerGone)
}

// A message of many fragments does not keep Send beyond its context either, and what
// follows arrives.
func TestContextEndsWithinAMessage(t *testing.T) {
	a, _, raw := half(t, plain)
	ctx, cancel := context.WithCancel(hung(t))
	sent := make(chan error, 1)
	go func() { sent <- a.Send(ctx, make([]byte, megabyte)) }()
	frames := 0
	read := func() {
		_, err := raw.ReadFrame(hung(t))
		require.NoError(t, err)
		frames++
	}
	read()
	cancel()
	require.ErrorIs(t, await(t, sent), context.Canceled)
	require.NoError(t, a.Send(hung(t), []byte("next")))
	for {
		f, err := raw.ReadFrame(hung(t))
		require.NoError(t, err)
		if frames++; string(f) == string(whole("next")) {
			break
		}
	}
	assert.Less(t, frames, 16, "a megabyte has more")
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
