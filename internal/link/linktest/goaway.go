package linktest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hangLimit is when a test has hung.
const hangLimit = 30 * time.Second

// heard waits until a link's peer has asked for its end.
func (e *end) heard() {
	e.t.Helper()
	select {
	case <-e.GoingAway().Done():
	case <-time.After(hangLimit):
		e.t.Fatal("GoAway was not heard")
	}
}

// unheard is the opposite, now.
func (e *end) unheard() {
	e.t.Helper()
	select {
	case <-e.GoingAway().Done():
		e.t.Fatal("nobody has asked for the end")
	default:
	}
}

// GoAway asks the peer, and nobody else, and both directions go on until it ends its own.
func testGoAway(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	a.mustWrite([]byte("before"))
	b.mustRead([]byte("before"))
	a.unheard()
	b.GoAway()
	b.GoAway()
	a.heard()
	b.unheard()
	a.mustWrite([]byte("last"))
	require.NoError(t, a.CloseWrite(background))
	b.mustRead([]byte("last"))
	_, err := b.ReadFrame(background)
	require.Equal(t, io.EOF, err)
	b.mustWrite([]byte("answer"))
	a.mustRead([]byte("answer"))
	// What b has read to the end, a knows.
	require.Eventually(t, func() bool { return a.Unacknowledged() <= c.doubt() }, hangLimit, time.Millisecond)
}

// GoAway reaches a peer that reads nothing, although its buffer is full.
func testGoAwayFull(t *testing.T, c Carrier) {
	if !c.CountsUnacknowledged {
		return // there is no way past the frames
	}
	a, b := c.pair(t)
	defer finish(t, a, b)
	frames := b.fill(c, 1000)
	b.GoAway()
	a.heard()
	for i := range frames {
		a.mustRead(pattern(i, 1000))
	}
}

// GoAway reaches a peer whose buffer was full when it was called, and that reads all of it
// and goes on reading.
func testGoAwayRead(t *testing.T, c Carrier) {
	if !c.CountsUnacknowledged {
		return // it is lost
	}
	a, b := c.pair(t)
	defer finish(t, a, b)
	frames := b.fill(c, 1000)
	b.GoAway()
	for i := range frames {
		a.mustRead(pattern(i, 1000))
	}
	ctx, cancel := context.WithCancel(background)
	read := make(chan error, 1)
	go func() {
		_, err := a.ReadFrame(ctx)
		read <- err
	}()
	a.heard()
	cancel()
	require.ErrorIs(t, <-read, context.Canceled)
}
