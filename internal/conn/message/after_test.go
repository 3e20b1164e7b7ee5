package message_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

// What a Conn does and says after the end of its link, its peer or a context.

// freeing is a link that must not be used after Close, as one whose memory is gone.
type freeing struct {
	link.Link
	t     *testing.T
	freed bool
}

func (l *freeing) use(what string) { assert.False(l.t, l.freed, "%s after Close", what) }

func (l *freeing) WriteFrame(ctx context.Context, head, body []byte) error {
	l.use("WriteFrame")
	return l.Link.WriteFrame(ctx, head, body)
}

func (l *freeing) ReadFrame(ctx context.Context) ([]byte, error) {
	l.use("ReadFrame")
	return l.Link.ReadFrame(ctx)
}

func (l *freeing) CloseWrite(ctx context.Context, last ...[]byte) error {
	l.use("CloseWrite")
	return l.Link.CloseWrite(ctx, last...)
}

func (l *freeing) HungUp() bool {
	l.use("HungUp")
	return l.Link.HungUp()
}

func (l *freeing) GoAway() {
	l.use("GoAway")
	l.Link.GoAway()
}

func (l *freeing) Close() error {
	l.use("Close")
	l.freed = true
	return l.Link.Close()
}

func TestNothingIsUsedAfterClose(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		mine, raw := mem.Pair()
		t.Cleanup(func() { _ = raw.Close() })
		a := conn(t, &freeing{Link: mine, t: t}, cfg)
		require.NoError(t, a.Send(hung(t), []byte("before")))
		require.NoError(t, raw.WriteFrame(hung(t), whole("not received"), nil))
		require.NoError(t, a.Close())
		_, err := a.Receive(hung(t))
		require.ErrorIs(t, err, link.ErrClosed)
		require.ErrorIs(t, a.Send(hung(t), nil), link.ErrClosed)
		_, err = a.SendBatch(hung(t), [][]byte{nil})
		require.ErrorIs(t, err, link.ErrClosed)
		require.ErrorIs(t, a.Accept(hung(t)), link.ErrClosed)
		require.ErrorIs(t, a.CloseWrite(hung(t)), link.ErrClosed)
		if cfg.Coalesce {
			require.ErrorIs(t, a.Flush(hung(t)), link.ErrClosed)
		}
		require.False(t, a.HungUp())
		a.GoAway()
		require.NoError(t, a.CloseWithReason("again"))
	})
}

// What is in private memory is received after Close, and then nothing more.
func TestDrainBesideClose(t *testing.T) {
	mine, raw := mem.Pair()
	t.Cleanup(func() { _ = raw.Close() })
	a := conn(t, &freeing{Link: mine, t: t}, plain)
	for _, text := range []string{"one", "two"} {
		require.NoError(t, raw.WriteFrame(hung(t), whole(text), nil))
	}
	_, err := a.Receive(hung(t))
	require.NoError(t, err)
	var got []string
	err = a.Drain(hung(t), megabyte, func(p []byte) {
		got = append(got, string(p))
		require.NoError(t, a.Abort())
	})
	require.Equal(t, []string{"two"}, got)
	require.ErrorIs(t, err, link.ErrClosed)
}

// ending is a link that fails with an error where its peer has ended.
type ending struct {
	link.Link
	err error
}

func (l ending) ReadFrame(ctx context.Context) ([]byte, error) {
	frame, err := l.Link.ReadFrame(ctx)
	if err == io.EOF {
		err = l.err
	}
	return frame, err
}

// A reason stands for the end or the death of the peer behind it, and for nothing else.
func TestWhatFollowsAReason(t *testing.T) {
	for _, row := range []struct {
		end    error
		reason bool
	}{{io.EOF, true}, {link.ErrPeerGone, true}, {link.ErrProtocol, false}, {link.ErrPeerChanged, false}, {link.ErrClosed, false}} {
		t.Run(row.end.Error(), func(t *testing.T) {
			mine, raw := mem.Pair()
			a := conn(t, ending{mine, row.end}, plain)
			require.NoError(t, raw.WriteFrame(hung(t), control(2, "enough"), nil))
			require.NoError(t, raw.Close())
			_, err := a.Receive(hung(t))
			var closed *closeError
			if row.reason {
				require.ErrorAs(t, err, &closed)
				return
			}
			require.ErrorIs(t, err, row.end)
			require.NotErrorAs(t, err, &closed)
		})
	}
}

// failing is a link whose peer is found to be gone as the context ends.
type failing struct {
	link.Link
	cancel context.CancelFunc
}

func (l failing) WriteFrame(context.Context, []byte, []byte) error {
	l.cancel()
	return link.ErrPeerGone
}

// An error is final unless it is the context's, also if that has ended meanwhile.
func TestFinalErrorAsTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(hung(t))
	mine, other := mem.Pair()
	t.Cleanup(func() { _ = other.Close() })
	a := conn(t, failing{mine, cancel}, plain)
	require.ErrorIs(t, a.Send(ctx, nil), link.ErrPeerGone)
	require.ErrorIs(t, a.CloseWrite(hung(t)), link.ErrPeerGone, "it is final")
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Send(hung(t), nil), link.ErrPeerGone, "also after Close")
}
