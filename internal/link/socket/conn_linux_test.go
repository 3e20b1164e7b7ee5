package socket_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

func TestDatagramsKeepOrderAndBounds(t *testing.T) {
	a, b := pair(t)
	for _, p := range []string{"x", "yy", string(make([]byte, 60_000)), "z"} {
		half := len(p) / 2
		require.NoError(t, a.Send(hung(t), []byte(p[:half]), []byte(p[half:]), -1))
		require.Equal(t, p, receive(t, b))
	}
}

// A process that has no descriptors left says so, and lives.
func TestOutOfDescriptors(t *testing.T) {
	c, raw := rawPair(t)
	c2, raw2 := rawPair(t)
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	waiting, err := socket.Dial(hung(t), path, false)
	require.NoError(t, err)
	defer waiting.Close()

	require.NoError(t, unix.Sendmsg(raw, []byte("with"), unix.UnixRights(raw), nil, 0))
	free := exhaust(t)
	buf := make([]byte, 10)
	_, _, withErr := c.ReceiveDescriptor(hung(t), buf)
	require.NoError(t, unix.Sendmsg(raw2, []byte("without"), nil, nil, 0))
	n, ctl, withoutErr := c2.Receive(hung(t), buf)
	_, acceptErr := l.Accept()
	free()
	before := openFiles()

	assert.ErrorIs(t, withErr, unix.EMFILE)
	assert.NotErrorIs(t, withErr, socket.ErrDescriptor, "it is not the peer's fault")
	require.NoError(t, withoutErr)
	assert.Equal(t, "without", string(buf[:n]))
	assert.Equal(t, -1, ctl.PIDFD)
	assert.True(t, ctl.HasCred)
	require.ErrorIs(t, acceptErr, unix.EMFILE)
	accepted, err := l.Accept()
	require.NoError(t, err, "it was not final, and the client still waits")
	require.NoError(t, accepted.Close())
	require.Equal(t, before, openFiles())
}

func TestTooLongForTheBuffer(t *testing.T) {
	a, b := pair(t)
	require.NoError(t, a.Send(hung(t), make([]byte, 101), nil, -1))
	require.NoError(t, a.Send(hung(t), []byte("next"), nil, -1))
	before := openFiles()
	_, _, err := b.Receive(hung(t), make([]byte, 100))
	require.ErrorIs(t, err, socket.ErrTruncated)
	require.Equal(t, before, openFiles())
	require.Equal(t, "next", receive(t, b))
}

func TestReceiveObeysContext(t *testing.T) {
	a, b := pair(t)
	_, _, err := b.Receive(ended(), make([]byte, 10))
	require.ErrorIs(t, err, context.Canceled)
	for range 100 {
		require.NoError(t, a.Send(ended(), []byte("x"), nil, -1), "there is room")
		n, ctl, err := b.Receive(ended(), make([]byte, 10)) // and something there
		require.NoError(t, err)
		require.Equal(t, 1, n)
		ctl.Close()
	}
	// Whichever comes first, nothing is lost and the Conn stays usable.
	for range 300 {
		ctx, cancel := context.WithCancel(hung(t))
		got := make(chan error, 1)
		go func() {
			_, ctl, err := b.Receive(ctx, make([]byte, 10))
			ctl.Close()
			got <- err
		}()
		go cancel()
		require.NoError(t, a.Send(hung(t), []byte("x"), nil, -1))
		if err := await(t, got); err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, "x", receive(t, b))
		}
		cancel()
	}
}

func TestSendObeysContext(t *testing.T) {
	a, b := pair(t)
	n := fill(t, a, 1000)
	require.Positive(t, n)
	ctx, cancel := context.WithCancel(hung(t))
	blocked := make(chan error, 1)
	go func() { blocked <- a.Send(ctx, []byte("never"), nil, -1) }()
	cancel()
	require.ErrorIs(t, await(t, blocked), context.Canceled)
	go func() { blocked <- a.Send(hung(t), []byte("late"), nil, -1) }()
	for range n {
		require.Len(t, receive(t, b), 1000)
	}
	require.NoError(t, await(t, blocked))
	require.Equal(t, "late", receive(t, b))
}

func TestInterrupt(t *testing.T) {
	a, _ := pair(t)
	fill(t, a, 1000)
	errs := make(chan error, 2)
	go func() { errs <- a.Send(hung(t), []byte("x"), nil, -1) }()
	go func() {
		_, _, err := a.Receive(hung(t), make([]byte, 10))
		errs <- err
	}()
	a.Interrupt()
	a.Interrupt()
	for range 2 {
		require.ErrorIs(t, await(t, errs), os.ErrClosed)
	}
	_, _, err := a.Receive(context.Background(), make([]byte, 10))
	require.ErrorIs(t, err, os.ErrClosed)
	_, _, err = a.Receive(ended(), make([]byte, 10))
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, a.Send(context.Background(), nil, nil, -1), os.ErrClosed)
	require.ErrorIs(t, a.Drain(func() {}), os.ErrClosed)
}

// interrupting is a context that has ended when a call begins to wait for its end, which is
// when it is asked for the second time, and that interrupts the Conn before.
type interrupting struct {
	context.Context
	conn  *socket.Conn
	asked *int
}

func (i interrupting) Done() <-chan struct{} {
	if *i.asked++; *i.asked == 1 {
		return make(chan struct{})
	}
	i.conn.Interrupt()
	return ended().Done()
}

func (i interrupting) Err() error { return context.Canceled }

// An Interrupt is not undone by a context that ends in the same moment.
func TestInterruptAndContextAtOnce(t *testing.T) {
	a, _ := pair(t)
	_, _, err := a.Receive(interrupting{context.Background(), a, new(int)}, make([]byte, 10))
	require.ErrorIs(t, err, os.ErrClosed)
	later := make(chan error, 1)
	go func() {
		_, _, err := a.Receive(context.Background(), make([]byte, 10))
		later <- err
	}()
	require.ErrorIs(t, await(t, later), os.ErrClosed)
}

func TestCloseUnblocks(t *testing.T) {
	a, _ := pair(t)
	got := make(chan error, 1)
	go func() { got <- a.Drain(func() {}) }()
	require.NoError(t, a.Close())
	require.ErrorIs(t, await(t, got), os.ErrClosed)
}

func TestSendLastNeedsNoRoom(t *testing.T) {
	a, b := pair(t)
	require.NoError(t, a.SetBuffer(32<<10))
	n := fill(t, a, 1000)
	require.NoError(t, a.SendLast([]byte("last"), 128<<10))
	for range n {
		require.Len(t, receive(t, b), 1000)
	}
	require.Equal(t, "last", receive(t, b))
	require.NoError(t, a.SendLast([]byte("with room"), 128<<10))
	require.Equal(t, "with room", receive(t, b))
	require.NoError(t, b.Close())
	require.ErrorIs(t, a.SendLast([]byte("x"), 128<<10), io.ErrClosedPipe)
}

func TestRingNeitherBlocksNorAllocates(t *testing.T) {
	a, b := pair(t)
	require.Zero(t, testing.AllocsPerRun(100, a.Ring))
	fill(t, a, 1)
	a.Ring()
	require.NoError(t, b.Close())
	a.Ring()
	require.NoError(t, a.Close())
	a.Ring()
}

func TestEnds(t *testing.T) {
	testEnds(t, pair)
}

// Whether descriptors wait is looked at before the end.
func TestEndsWithoutRefusingDescriptors(t *testing.T) {
	testEnds(t, openPair)
}

func testEnds(t *testing.T, pair func(t testing.TB) (a, b *socket.Conn)) {
	t.Run("CloseWrite", func(t *testing.T) {
		a, b := pair(t)
		require.NoError(t, a.Send(hung(t), []byte("x"), nil, -1))
		require.NoError(t, a.CloseWrite())
		require.Equal(t, "x", receive(t, b))
		_, _, err := b.Receive(hung(t), make([]byte, 10))
		require.Equal(t, io.EOF, err)
		require.NoError(t, b.Send(hung(t), []byte("y"), nil, -1))
		require.Equal(t, "y", receive(t, a))
	})
	t.Run("Close", func(t *testing.T) {
		a, b := pair(t)
		require.NoError(t, a.Send(hung(t), []byte("x"), nil, -1))
		require.NoError(t, a.Close())
		require.Equal(t, "x", receive(t, b))
		_, _, err := b.Receive(hung(t), make([]byte, 10))
		require.Equal(t, io.EOF, err)
		require.ErrorIs(t, b.Send(hung(t), []byte("y"), nil, -1), io.ErrClosedPipe)
	})
	t.Run("Close with unread datagrams", func(t *testing.T) {
		a, b := pair(t)
		require.NoError(t, a.Send(hung(t), []byte("unread"), nil, -1))
		require.NoError(t, b.Send(hung(t), []byte("before"), nil, -1))
		require.NoError(t, b.Close())
		_, _, err := a.Receive(hung(t), make([]byte, 10))
		require.Equal(t, socket.ErrReset, err)
		require.Equal(t, "before", receive(t, a))
		_, _, err = a.Receive(hung(t), make([]byte, 10))
		require.Equal(t, io.EOF, err)
	})
	t.Run("an empty datagram counts as one", func(t *testing.T) {
		c, raw := rawPair(t)
		require.NoError(t, unix.Sendmsg(raw, nil, nil, nil, 0))
		before := openFiles()
		_, _, err := c.Receive(hung(t), make([]byte, 10))
		require.Equal(t, io.EOF, err)
		require.Equal(t, before, openFiles())
	})
}

func TestIdle(t *testing.T) {
	a, b := pair(t)
	idle := func() bool {
		is, err := b.Idle()
		require.NoError(t, err)
		return is
	}
	got := make(chan int)
	next := make(chan struct{})
	go func() {
		for buf := make([]byte, 10); ; <-next {
			n, ctl, err := b.Receive(context.Background(), buf)
			ctl.Close()
			if err != nil {
				close(got)
				return
			}
			got <- n
		}
	}()
	for range 100 {
		for !idle() { // until it waits
			runtime.Gosched()
		}
		require.NoError(t, a.Send(hung(t), []byte("x"), nil, -1))
		require.False(t, idle(), "it waits, or is in hand")
		await(t, got)
		require.False(t, idle(), "it is in hand")
		next <- struct{}{}
	}
	b.Interrupt()
	await(t, got)
}
