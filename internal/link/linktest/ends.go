package linktest

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
)

func testInterrupt(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	frames := a.fill(c, 1000)
	_, failed := a.writeOn(background, frames, 1000)
	calls := make(chan error)
	go func() {
		_, err := a.ReadFrame(background)
		calls <- err
	}()
	go func() { calls <- a.WaitDrained(background) }()
	a.Interrupt()
	require.ErrorIs(t, <-failed, link.ErrClosed)
	for range 2 {
		require.ErrorIs(t, <-calls, link.ErrClosed)
	}
	require.ErrorIs(t, a.write(background, nil), link.ErrClosed)
	_, err := a.ReadFrame(background)
	require.ErrorIs(t, err, link.ErrClosed)
	a.Interrupt()
	finish(t, a, b)
}

func testCloseWrite(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	a.mustWrite([]byte("last"))
	require.NoError(t, a.CloseWrite(ended))
	require.NoError(t, a.CloseWrite(ended))
	require.ErrorIs(t, a.write(background, nil), link.ErrClosed)
	b.mustRead([]byte("last"))
	for range 3 {
		_, err := b.ReadFrame(background)
		require.Equal(t, io.EOF, err)
	}
	// The other direction goes on.
	b.mustWrite([]byte("answer"))
	a.mustRead([]byte("answer"))
	select {
	case <-b.Gone().Done():
		t.Error("half-closed is not gone")
	default:
	}
}

func testCloseWriteFull(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	defer finish(t, a, b)
	frames := a.fill(c, 1000)
	// Sealed frames of this size leave less of a ring than an empty one takes.
	const fits = 9
	small := 0
	if c.SaysGoodbye {
		small = a.fill(c, fits) // no room for that either
		require.ErrorIs(t, a.CloseWrite(ended), context.Canceled)
		require.NoError(t, a.CloseWrite(background), "idempotent")
	} else {
		require.NoError(t, a.CloseWrite(ended))
	}
	for i := range frames {
		b.mustRead(pattern(i, 1000))
	}
	for i := range small {
		b.mustRead(pattern(i, fits))
	}
	_, err := b.ReadFrame(background)
	if c.SaysGoodbye {
		require.ErrorIs(t, err, link.ErrProtocol)
		require.NotErrorIs(t, err, io.EOF)
		return
	}
	require.Equal(t, io.EOF, err)
}

// The frames with which a layer above ends are written after Interrupt too, if there is
// room.
func testCloseWriteLast(t *testing.T, c Carrier) {
	for name, interrupt := range map[string]bool{"open": false, "interrupted": true} {
		t.Run(name, func(t *testing.T) {
			a, b := c.pair(t)
			defer finish(t, a, b)
			a.mustWrite([]byte("first"))
			if interrupt {
				a.Interrupt()
				require.ErrorIs(t, a.write(background, nil), link.ErrClosed)
			}
			require.NoError(t, a.CloseWrite(ended, []byte("last 1"), []byte("last 2")))
			require.NoError(t, a.CloseWrite(ended, []byte("too late")), "idempotent")
			for _, want := range []string{"first", "last 1", "last 2"} {
				b.mustRead([]byte(want))
			}
			_, err := b.ReadFrame(background)
			require.Equal(t, io.EOF, err)
		})
	}
}

// Without room, CloseWrite either has room in reserve or says that it left the frame
// out.
func testCloseWriteLastFull(t *testing.T, c Carrier) {
	for name, test := range map[string]struct {
		prepare func(l link.Link) context.Context
		want    error
	}{
		"context":     {func(link.Link) context.Context { return ended }, context.Canceled},
		"interrupted": {func(l link.Link) context.Context { l.Interrupt(); return background }, link.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := c.pair(t)
			defer finish(t, a, b)
			frames := a.fill(c, 1000)
			small := a.fill(c, c.Smallest)
			err := a.CloseWrite(test.prepare(a.Link), []byte("last"))
			for i := range frames {
				b.mustRead(pattern(i, 1000))
			}
			for i := range small {
				b.mustRead(pattern(i, c.Smallest))
			}
			if err == nil {
				b.mustRead([]byte("last"))
			} else {
				require.ErrorIs(t, err, test.want)
			}
			switch _, end := b.ReadFrame(background); {
			case err != nil && c.SaysGoodbye:
				require.ErrorIs(t, end, link.ErrProtocol)
			default:
				require.Equal(t, io.EOF, end)
			}
		})
	}
}

func testCloseDrains(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	b.mustWrite([]byte("never read"))
	for i := range 20 {
		a.mustWrite(pattern(i, 100))
	}
	finish(t, a)
	for i := range 20 {
		b.mustRead(pattern(i, 100))
	}
	_, err := b.ReadFrame(background)
	require.Equal(t, io.EOF, err)
	<-b.Gone().Done()
	require.ErrorIs(t, b.write(background, nil), link.ErrPeerGone)
	finish(t, b)
}

func testDeathDrains(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	b.mustWrite([]byte("never read"))
	for i := range 20 {
		a.mustWrite(pattern(i, 100))
	}
	c.Kill(a.Link)
	for i := range 20 {
		b.mustRead(pattern(i, 100))
	}
	for range 3 {
		_, err := b.ReadFrame(background)
		require.ErrorIs(t, err, link.ErrPeerGone)
	}
	<-b.Gone().Done()
	require.ErrorIs(t, b.write(background, nil), link.ErrPeerGone)
	require.ErrorIs(t, b.WaitDrained(background), link.ErrPeerGone)
	_ = a.Close()
	finish(t, b)
}

func testDeathUnblocks(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	frames := b.fill(c, 1000)
	_, failed := b.writeOn(background, frames, 1000)
	calls := make(chan error)
	go func() {
		_, err := b.ReadFrame(background)
		calls <- err
	}()
	go func() { calls <- b.WaitDrained(background) }()
	c.Kill(a.Link)
	require.ErrorIs(t, <-failed, link.ErrPeerGone)
	for range 2 {
		require.ErrorIs(t, <-calls, link.ErrPeerGone)
	}
	_ = a.Close()
	finish(t, b)
}

func testCloseTwice(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	finish(t, a, a, b, b)
	a.Interrupt()
	require.NoError(t, a.Close())
}
