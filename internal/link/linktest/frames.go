package linktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
)

var background = context.Background()

// ended is a context that is over: calls do what they can without blocking.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// pattern is the content of frame i with n bytes.
func pattern(i, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
	b := make([]byte, n)
	for j := range b {
		b[j] = byte(r.Uint32())
	}
	return b
}

// write writes a frame, split between head and body at a varying point.
func (e *end) write(ctx context.Context, frame []byte) error {
	cut := 0
	if len(frame) > 0 {
		cut = min(len(frame), int(frame[0])%13)
	}
	return e.WriteFrame(ctx, frame[:cut], frame[cut:])
}

func (e *end) mustWrite(frame []byte) {
	e.t.Helper()
	require.NoError(e.t, e.write(background, frame))
}

// mustRead reads a frame that must be as given.
func (e *end) mustRead(want []byte) {
	e.t.Helper()
	got, err := e.ReadFrame(background)
	require.NoError(e.t, err)
	if !bytes.Equal(want, got) {
		require.FailNow(e.t, "wrong frame", "%d bytes, want %d", len(got), len(want))
	}
}

// fill writes frames of n bytes until one would block, and returns their number.
func (e *end) fill(c Carrier, n int) (frames int) {
	e.t.Helper()
	for {
		err := e.write(ended, pattern(frames, n))
		if errors.Is(err, context.Canceled) {
			return frames
		}
		require.NoError(e.t, err)
		frames++
		require.LessOrEqual(e.t, frames*n, c.Held, "memory for a peer that does not read is not bounded")
	}
}

// writeOn writes further frames of n bytes until one fails: a carrier may find
// room for some more when it seemed full, because a reader fetched ahead. It
// sends the number of the frames written, then the error.
func (e *end) writeOn(ctx context.Context, frames, n int) (written chan int, failed chan error) {
	written, failed = make(chan int, 1), make(chan error, 1)
	go func() {
		for i := frames; ; i++ {
			if err := e.write(ctx, pattern(i, n)); err != nil {
				written <- i
				failed <- err
				return
			}
		}
	}()
	return written, failed
}

func testOrder(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	const frames = 3000
	size := func(i int) int { return max(c.Smallest, (i*i)%700) }
	var wg sync.WaitGroup
	for _, pair := range [][2]*end{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		wg.Go(func() {
			for i := range frames {
				if !assert.NoError(t, from.write(background, pattern(i, size(i)))) {
					return
				}
			}
		})
		wg.Go(func() {
			for i := range frames {
				got, err := to.ReadFrame(background)
				if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(pattern(i, size(i)), got), "frame %d", i) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func testSizes(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	require.GreaterOrEqual(t, a.MaxFrame(), link.MinMaxFrame)
	require.Equal(t, a.MaxFrame(), b.MaxFrame())
	most := a.MaxFrame()
	sizes := []int{c.Smallest, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1023, 4095, most/2 + 1, most - 9, most - 8, most - 1, most}
	// Several rounds, so that every size meets the end of a ring.
	for round := range 20 {
		for i, n := range sizes {
			frame := pattern(round*100+i, n)
			a.mustWrite(frame)
			b.mustRead(frame)
		}
	}
}

func testTooLarge(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	big := make([]byte, a.MaxFrame()+1)
	require.ErrorIs(t, a.WriteFrame(background, nil, big), link.ErrFrameTooLarge)
	require.ErrorIs(t, a.WriteFrame(background, big[:1], big[1:]), link.ErrFrameTooLarge)
	a.mustWrite([]byte("still usable"))
	b.mustRead([]byte("still usable"))
}

func testPrivate(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	sent := []byte("the sender owns its slice again")
	frame := bytes.Clone(sent)
	a.mustWrite(frame)
	clear(frame)
	got, err := b.ReadFrame(background)
	require.NoError(t, err)
	require.Equal(t, sent, got)
	clear(got) // the reader may write to it
	a.mustWrite([]byte("second"))
	require.Equal(t, make([]byte, len(sent)), got, "a frame changed before the next ReadFrame")
	b.mustRead([]byte("second"))
}

func testBackpressure(t *testing.T, c Carrier) {
	for _, n := range []int{c.Smallest, 64, 4096} {
		a, b := c.pair(t)
		frames := a.fill(c, n)
		require.Positive(t, frames)
		// A writer waits for room now, and gets it when the reader reads.
		wrote := make(chan error)
		go func() { wrote <- a.write(background, pattern(frames, n)) }()
		for i := range frames {
			b.mustRead(pattern(i, n))
		}
		require.NoError(t, <-wrote)
		b.mustRead(pattern(frames, n))
		finish(t, a, b)
	}
}

func testCancelWrite(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	frames := a.fill(c, 1000)
	ctx, cancel := context.WithCancel(background)
	written, failed := a.writeOn(ctx, frames, 1000)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	for i := range <-written {
		b.mustRead(pattern(i, 1000))
	}
	a.mustWrite([]byte("after"))
	b.mustRead([]byte("after"))
}

func testCancelRead(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	for i := range 50 {
		ctx, cancel := context.WithCancel(background)
		read := make(chan error)
		go func() {
			_, err := b.ReadFrame(ctx)
			read <- err
		}()
		cancel()
		require.ErrorIs(t, <-read, context.Canceled)
		a.mustWrite(pattern(i, 100))
		b.mustRead(pattern(i, 100))
	}
}

func testUnacknowledged(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	for i := range 10 {
		a.mustWrite(pattern(i, 10))
	}
	for i := range 4 {
		b.mustRead(pattern(i, 10)) // the fourth is not dealt with yet
	}
	c.Kill(b.Link)
	<-a.Gone().Done()
	require.ErrorIs(t, a.write(background, nil), link.ErrPeerGone)
	if c.CountsUnacknowledged {
		// What lay in the reader's private memory with the first counts too.
		assert.GreaterOrEqual(t, a.Unacknowledged(), uint64(7))
		assert.LessOrEqual(t, a.Unacknowledged(), uint64(10))
	} else {
		assert.Positive(t, a.Unacknowledged())
	}
	_ = b.Close()
	finish(t, a)
}

func testDrained(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	require.False(t, a.Backlogged())
	require.NoError(t, a.WaitDrained(background))
	frames := a.fill(c, 1000)
	require.True(t, a.Backlogged())
	waited := make(chan error)
	go func() { waited <- a.WaitDrained(background) }()
	for i := range frames {
		b.mustRead(pattern(i, 1000))
	}
	// The last frame is dealt with when the reader asks for the next.
	_, err := b.ReadFrame(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, <-waited)
	require.False(t, a.Backlogged())
	require.LessOrEqual(t, a.Unacknowledged(), c.doubt())
}

func testWaitDrainedCancel(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	a.fill(c, 1000)
	ctx, cancel := context.WithCancel(background)
	waited := make(chan error)
	go func() { waited <- a.WaitDrained(ctx) }()
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
}

func testMany(t *testing.T, c Carrier) {
	const connections, frames = 100, 50
	var wg sync.WaitGroup
	for range connections {
		a, b := c.pair(t)
		wg.Go(func() {
			for i := range frames {
				if !assert.NoError(t, a.write(background, pattern(i, 200))) {
					break
				}
			}
			assert.NoError(t, a.Close())
		})
		wg.Go(func() {
			for i := range frames {
				got, err := b.ReadFrame(background)
				if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(pattern(i, 200), got)) {
					break
				}
			}
			_, err := b.ReadFrame(background)
			assert.Equal(t, io.EOF, err)
			assert.NoError(t, b.Close())
		})
	}
	wg.Wait()
}
