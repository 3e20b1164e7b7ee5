package socket_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// What a Link says of a peer that may send any datagram, leave some unread, or vanish.

// TestDatagrams: each row is what a peer sends after its hello, and what becomes of it.
func TestDatagrams(t *testing.T) {
	most := string(make([]byte, socket.MaxFrame))
	for name, row := range map[string]struct {
		sent   []string
		frames int
		end    error
	}{
		"frames":                 {[]string{"\x00", "\x00frame", "\x01"}, 2, io.EOF},
		"the largest frame":      {[]string{"\x00" + most, "\x01"}, 1, io.EOF},
		"a larger one":           {[]string{"\x00" + most + "x"}, 0, link.ErrProtocol},
		"a request to end":       {[]string{"\x02", "\x00frame", "\x01"}, 1, io.EOF},
		"one with more":          {[]string{"\x02x"}, 0, link.ErrProtocol},
		"two of them":            {[]string{"\x02", "\x02"}, 0, link.ErrProtocol},
		"an end with more":       {[]string{"\x00frame", "\x01x"}, 1, link.ErrProtocol},
		"a frame behind the end": {[]string{"\x00frame", "\x01", "\x00late"}, 1, io.EOF},
		"an end behind another":  {[]string{"\x01", "\x01"}, 0, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			l, own, peer := attested(t, nil)
			for _, datagram := range row.sent {
				require.NoError(t, unix.Send(peer, []byte(datagram), 0))
			}
			for range row.frames {
				_, err := l.ReadFrame(hung(t))
				require.NoError(t, err)
			}
			_, err := l.ReadFrame(hung(t))
			require.ErrorIs(t, err, row.end)
			// However much came behind it.
			for n := 1; n > 0; {
				n, err = unix.IoctlGetInt(own, unix.SIOCINQ)
				require.NoError(t, err)
				if row.end == link.ErrProtocol {
					break
				}
				runtime.Gosched()
			}
			for range 200 {
				_, err = l.ReadFrame(hung(t))
				require.ErrorIs(t, err, row.end)
				runtime.Gosched()
			}
		})
	}
}

// TestUnacknowledgedWithoutCounts: it is how many frames the peer may have left, never
// fewer, as far as the kernel tells.
func TestUnacknowledgedWithoutCounts(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	const sent = 3
	for name, row := range map[string]struct {
		read     int
		killed   bool // else it closes gracefully, if at all
		closed   bool
		unread   bool // by this side
		doubtful uint64
	}{
		"nothing read":             {doubtful: sent},
		"all read":                 {read: sent, doubtful: 1},
		"all read and closed":      {read: sent, closed: true, doubtful: 0},
		"all read and killed":      {read: sent, killed: true, doubtful: 1},
		"closed with unread":       {closed: true, doubtful: sent},
		"killed with unread":       {killed: true, doubtful: sent},
		"both killed with unread":  {killed: true, unread: true, doubtful: sent},
		"all read, this side none": {read: sent, killed: true, unread: true, doubtful: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := p.bare(t)
			if row.unread {
				require.NoError(t, b.WriteFrame(hung(t), nil, []byte("unread")))
			}
			for range sent {
				require.NoError(t, a.WriteFrame(hung(t), nil, []byte("frame")))
			}
			for range row.read {
				_, err := b.ReadFrame(hung(t))
				require.NoError(t, err)
			}
			require.False(t, a.HungUp())
			switch {
			case row.killed:
				require.NoError(t, p.of[b].Close())
				require.True(t, a.HungUp())
			case row.closed:
				require.NoError(t, b.Close())
				_, err := a.ReadFrame(hung(t))
				require.Equal(t, io.EOF, err)
				require.True(t, a.HungUp())
			}
			require.Equal(t, row.doubtful, a.Unacknowledged())
			if row.killed || row.closed {
				await(t, a.Gone().Done())
				require.Equal(t, row.doubtful, a.Unacknowledged())
			}
			require.NoError(t, a.Close())
			if row.killed || row.closed {
				require.Equal(t, row.doubtful, a.Unacknowledged(), "as it was")
			}
			_ = b.Close()
		})
	}
}

// TestUnacknowledgedAfterClose: with Counts, it is what the peer said last.
func TestUnacknowledgedAfterClose(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	a, b := p.pair(t)
	for range 3 {
		require.NoError(t, a.WriteFrame(hung(t), nil, []byte("frame")))
	}
	for range 3 {
		_, err := b.ReadFrame(hung(t))
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, a.Unacknowledged())
	require.NoError(t, a.Close())
	require.EqualValues(t, 1, a.Unacknowledged())
	require.NoError(t, b.Close())
}

// TestPeerBehindAFrame: while the reader has a frame in hand, what the peer does behind it
// is noticed.
func TestPeerBehindAFrame(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	for name, dies := range map[string]bool{"asks": false, "asks and dies": true} {
		t.Run(name, func(t *testing.T) {
			a, b := p.pair(t)
			for range 2 {
				require.NoError(t, b.WriteFrame(hung(t), nil, []byte("frame")))
			}
			_, err := a.ReadFrame(hung(t))
			require.NoError(t, err)
			b.GoAway()
			await(t, a.GoingAway().Done())
			require.NoError(t, b.GoingAway().Err(), "it was not asked")
			if dies {
				require.NoError(t, p.of[b].Close())
				await(t, a.Gone().Done())
			}
			_, err = a.ReadFrame(hung(t))
			require.NoError(t, err)
			if !dies {
				require.NoError(t, a.Gone().Err())
			}
			require.NoError(t, a.Close())
			_ = b.Close()
		})
	}
}

// TestReadAfterInterrupt: it is interrupted, whatever the peer has done.
func TestReadAfterInterrupt(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	a, b := p.pair(t)
	require.NoError(t, b.CloseWrite(hung(t)))
	_, err := a.ReadFrame(hung(t))
	require.Equal(t, io.EOF, err)
	a.Interrupt()
	for range 100 {
		_, err = a.ReadFrame(hung(t))
		require.ErrorIs(t, err, link.ErrClosed)
	}
	require.ErrorIs(t, a.WaitDrained(hung(t)), link.ErrClosed)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

// TestLastFrames: those of CloseWrite have the limit of others.
func TestLastFrames(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	most := make([]byte, socket.MaxFrame)
	t.Run("large", func(t *testing.T) {
		a, b := p.pair(t)
		require.NoError(t, a.CloseWrite(hung(t), most))
		require.EqualValues(t, 1, a.Unacknowledged())
		frame, err := b.ReadFrame(hung(t))
		require.NoError(t, err)
		require.Len(t, frame, socket.MaxFrame)
		_, err = b.ReadFrame(hung(t))
		require.Equal(t, io.EOF, err)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	t.Run("too large", func(t *testing.T) {
		a, b := p.pair(t)
		require.ErrorIs(t, a.CloseWrite(hung(t), make([]byte, socket.MaxFrame+1)), link.ErrFrameTooLarge)
		_, err := b.ReadFrame(hung(t))
		require.Equal(t, io.EOF, err)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

// TestManyLastFrames: those for which there is no room are left out, and the error says why.
// The end has room of its own, however full the socket is and of what.
func TestManyLastFrames(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	for _, size := range []int{1, 1000, socket.MaxFrame} {
		last := slices.Repeat([][]byte{make([]byte, size)}, 600<<10/max(size, 500))
		for name, row := range map[string]struct {
			ctx  func(t *testing.T, a, b link.Link) context.Context
			want error
		}{
			"context":     {func(*testing.T, link.Link, link.Link) context.Context { return ended() }, ended().Err()},
			"interrupted": {func(t *testing.T, a, _ link.Link) context.Context { a.Interrupt(); return hung(t) }, link.ErrClosed},
			"peer gone": {func(t *testing.T, _, b link.Link) context.Context {
				require.NoError(t, p.of[b].Close())
				return hung(t)
			}, link.ErrPeerGone},
		} {
			t.Run(fmt.Sprintf("%s %d", name, size), func(t *testing.T) {
				a, b := p.pair(t)
				for a.WriteFrame(ended(), nil, last[0]) == nil {
				}
				before := a.Unacknowledged()
				err := a.CloseWrite(row.ctx(t, a, b), last...)
				require.ErrorIs(t, err, row.want)
				require.NotErrorIs(t, err, unix.EAGAIN)
				if row.want != link.ErrPeerGone {
					sent := a.Unacknowledged()
					require.Greater(t, sent, before, "the first needs no room")
					for range sent {
						_, err := b.ReadFrame(hung(t))
						require.NoError(t, err)
					}
					_, err := b.ReadFrame(hung(t))
					require.Equal(t, io.EOF, err)
				}
				require.NoError(t, a.Close())
				_ = b.Close()
			})
		}
		t.Run(fmt.Sprintf("read %d", size), func(t *testing.T) {
			a, b := p.pair(t)
			closed := make(chan error, 1)
			go func() { closed <- a.CloseWrite(hung(t), last...) }()
			for range last {
				frame, err := b.ReadFrame(hung(t))
				require.NoError(t, err)
				require.Len(t, frame, size)
			}
			_, err := b.ReadFrame(hung(t))
			require.Equal(t, io.EOF, err)
			require.NoError(t, await(t, closed))
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
		})
	}
}

// TestFrameBeforeTheContext: what has been sent before the context ended is read.
func TestFrameBeforeTheContext(t *testing.T) {
	p := pairs{sockets: refusingPair, of: make(map[link.Link]*socket.Conn)}
	a, b := p.pair(t)
	for range 100 {
		require.NoError(t, b.WriteFrame(hung(t), nil, []byte("frame")))
		_, err := a.ReadFrame(ended())
		require.NoError(t, err)
	}
	_, err := a.ReadFrame(ended())
	require.ErrorIs(t, err, ended().Err())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}
