package secure_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/secure/internal/record"
)

// What a sealed link does with its keys and with the link below where that fails, gives up
// or ends.

// over returns a context that has ended.
func over(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// failing is a link whose reads and writes fail while there are errors, and which says when
// it is read.
type failing struct {
	link.Link
	mu      sync.Mutex
	errs    []error // of the next writes
	reads   []error // of the next reads
	closing error   // of CloseWrite
	reading chan struct{}
}

func (f *failing) WriteFrame(ctx context.Context, head, body []byte) error {
	f.mu.Lock()
	var err error
	if len(f.errs) > 0 {
		err, f.errs = f.errs[0], f.errs[1:]
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Link.WriteFrame(ctx, head, body)
}

func (f *failing) ReadFrame(ctx context.Context) ([]byte, error) {
	select {
	case f.reading <- struct{}{}:
	default:
	}
	f.mu.Lock()
	var err error
	if len(f.reads) > 0 {
		err, f.reads = f.reads[0], f.reads[1:]
	}
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Link.ReadFrame(ctx)
}

func (f *failing) CloseWrite(ctx context.Context, last ...[]byte) error {
	return errors.Join(f.Link.CloseWrite(ctx, last...), f.closing)
}

// fail has the next writes fail.
func (f *failing) fail(errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = errs
}

// overFailing returns a connection over such a link on the client's side, tapped below it.
func overFailing(t *testing.T) (client, host side, below *failing) {
	t.Helper()
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	below = &failing{Link: ta, reading: make(chan struct{}, 1)}
	c, h := pairOver(t, below, tb)
	t.Cleanup(func() {
		_ = c.Close()
		_ = h.Close()
	})
	return side{c, ta, t}, side{h, tb, t}, below
}

// typesSince are the types of the records that a side has written after the first n.
func (s side) typesSince(n int) (types []record.Type) {
	for _, rec := range s.tap.records()[n:] {
		types = append(types, record.Type(rec[0]))
	}
	return types
}

// TestRekeyByTime: a key is replaced when it is RekeyInterval old, before the next message,
// and not without one.
func TestRekeyByTime(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 10 * time.Minute, time.Hour: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			set := func(c *secure.Config) { c.RekeyInterval = interval }
			never := func(c *secure.Config) { c.RehandshakeInterval = -1 }
			a, b := mem.Pair()
			ta, tb := &tap{Link: a}, &tap{Link: b}
			c, h, err := secure.Pair(t.Context(), ta, tb, clientConfig(nil, set, never, classical), hostConfig(nil, set, classical))
			require.NoError(t, err)
			client, host := side{c, ta, t}, side{h, tb, t}
			now := 0 * want
			sleep := func(d time.Duration) {
				time.Sleep(d)
				synctest.Wait()
				now += d
			}
			for _, both := range [][2]side{{client, host}, {host, client}} {
				from, to := both[0], both[1]
				say := func(text string) []record.Type {
					before := len(from.tap.records())
					from.write(text)
					to.read(text)
					return from.typesSince(before)
				}
				sleep(3*want - now%want)
				say("the first with its key") // if it was not the host's Ready
				say("the second")
				require.Equal(t, []record.Type{record.Data}, say("at once"))
				sleep(want - time.Nanosecond)
				require.Equal(t, []record.Type{record.Data}, say("just before"))
				sleep(3 * want)
				require.Equal(t, []record.Type{record.Rekey, record.Data}, say("late"))
				require.Equal(t, []record.Type{record.Data}, say("at once"))
			}
			require.NoError(t, c.Close())
			require.NoError(t, h.Close())
		})
	}
}

// TestRekeyThatIsGivenUp is sent before anything else, also before the end.
func TestRekeyThatIsGivenUp(t *testing.T) {
	giveUp := func(t *testing.T) (client, host side) {
		client, host, below := overFailing(t)
		client.write("first")
		host.read("first")
		client.RekeyDue()
		below.fail(context.Canceled)
		require.ErrorIs(t, client.WriteFrame(over(t), nil, []byte("never sent")), context.Canceled)
		return client, host
	}
	t.Run("data", func(t *testing.T) {
		client, host := giveUp(t)
		client.write("second")
		host.read("second")
	})
	t.Run("end", func(t *testing.T) {
		client, host := giveUp(t)
		before := len(client.tap.records())
		require.NoError(t, client.Link.CloseWrite(hung(t), []byte("last")))
		require.Equal(t, []record.Type{record.Rekey, record.Data, record.Close}, client.typesSince(before))
		host.read("last")
		host.fails(io.EOF)
	})
}

// TestRekeyBeforeTheEnd: the limits of a key hold for the last records too, and no Rekey is
// sent without need.
func TestRekeyBeforeTheEnd(t *testing.T) {
	for name, row := range map[string]struct {
		givenUp int
		want    []record.Type
	}{
		"fresh":           {0, []record.Type{record.Close}},
		"almost":          {record.DueSkip - 1, []record.Type{record.Close}},
		"due":             {record.DueSkip, []record.Type{record.Rekey, record.Close}},
		"due and pending": {record.DueSkip + 1, []record.Type{record.Rekey, record.Close}},
	} {
		t.Run(name, func(t *testing.T) {
			client, host, below := overFailing(t)
			for range row.givenUp {
				below.fail(context.Canceled)
				require.ErrorIs(t, client.WriteFrame(over(t), nil, []byte("x")), context.Canceled)
			}
			before := len(client.tap.records())
			require.NoError(t, client.Link.CloseWrite(hung(t)))
			require.Equal(t, row.want, client.typesSince(before))
			host.fails(io.EOF)
		})
	}
}

// TestFailedWriteIsFinal: what was written then may be missing, so no close follows, also if
// the link below recovers, and if the context ended at the same time.
func TestFailedWriteIsFinal(t *testing.T) {
	odd := errors.New("odd")
	for name, ctx := range map[string]context.Context{"open": t.Context(), "ended": over(t)} {
		t.Run(name, func(t *testing.T) {
			client, host, below := overFailing(t)
			below.fail(odd)
			require.ErrorIs(t, client.WriteFrame(ctx, nil, []byte("lost")), odd)
			require.ErrorIs(t, client.WriteFrame(hung(t), nil, []byte("second")), odd)
			require.ErrorIs(t, client.Link.CloseWrite(hung(t)), odd)
			host.fails(secure.ErrTruncated)
		})
	}
	t.Run("peer gone", func(t *testing.T) {
		client, _, below := overFailing(t)
		below.fail(link.ErrPeerGone)
		require.ErrorIs(t, client.WriteFrame(hung(t), nil, []byte("lost")), link.ErrPeerGone)
		below.closing = link.ErrPeerGone
		require.NoError(t, client.Link.CloseWrite(hung(t)), "there is no peer to tell")
		require.Error(t, client.WriteFrame(hung(t), nil, []byte("second")))
	})
}

// TestFailedReadIsFinal, also if the link below recovers; the end of a context is not.
func TestFailedReadIsFinal(t *testing.T) {
	odd := errors.New("odd")
	client, host, below := overFailing(t)
	host.write("one")
	host.write("two")
	below.reads = []error{context.Canceled, nil, odd}
	_, err := client.ReadFrame(over(t))
	require.ErrorIs(t, err, context.Canceled)
	client.read("one")
	client.fails(odd)
}

// TestCallsThatWaitForAnother end with their context and leave the other alone.
func TestCallsThatWaitForAnother(t *testing.T) {
	t.Run("write", func(t *testing.T) {
		client, host := tapped(t)
		sent := 0
		for client.WriteFrame(over(t), nil, []byte("x")) == nil {
			sent++
		}
		writing := make(chan error, 1)
		go func() { writing <- client.WriteFrame(hung(t), nil, []byte("waits")) }()
		require.Eventually(t, client.Writing, limit, tick)
		require.ErrorIs(t, client.WriteFrame(over(t), nil, []byte("x")), context.Canceled)
		for range sent {
			host.read("x")
		}
		require.NoError(t, await(t, writing))
		client.write("after")
		host.read("waits")
		host.read("after")
	})
	t.Run("read", func(t *testing.T) {
		client, host, below := overFailing(t)
		select {
		case <-below.reading: // by the handshake
		default:
		}
		read := make(chan error, 1)
		go func() {
			frame, err := client.ReadFrame(hung(t))
			if err == nil && string(frame) != "frame" {
				err = errors.New("another frame")
			}
			read <- err
		}()
		await(t, below.reading)
		_, err := client.ReadFrame(over(t))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, below.reading, "the link below has one reader")
		host.write("frame")
		require.NoError(t, await(t, read))
	})
}

// TestTruncationAsTheContextEnds is no end either.
func TestTruncationAsTheContextEnds(t *testing.T) {
	from, to := tapped(t)
	from.tap.keep(func() { require.NoError(t, from.Link.CloseWrite(t.Context())) })
	for range 2 {
		_, err := to.ReadFrame(over(t))
		require.ErrorIs(t, err, secure.ErrTruncated)
		require.NotErrorIs(t, err, io.EOF)
	}
}

// TestUnacknowledgedIsOfFrames: the records that replace keys, and a frame that was not sent,
// are none.
func TestUnacknowledgedIsOfFrames(t *testing.T) {
	client, _, below := overFailing(t)
	require.NoError(t, client.SendRekey(hung(t)))
	require.Zero(t, client.Unacknowledged())
	below.fail(context.Canceled)
	require.ErrorIs(t, client.WriteFrame(over(t), nil, []byte("x")), context.Canceled)
	require.Zero(t, client.Unacknowledged())
	client.write("x")
	require.EqualValues(t, 1, client.Unacknowledged())
}

// TestHungUp: as the link below says.
func TestHungUp(t *testing.T) {
	a, b, _, kill := transporttest.Rings(t, 64<<10)
	c, h := pairOver(t, a, b)
	require.False(t, c.HungUp())
	kill()
	require.True(t, c.HungUp())
	require.NoError(t, c.Close())
	_ = h.Close() // kill has closed a part of it
}
