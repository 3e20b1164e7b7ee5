package machlink_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const service = "com.example.test"

// token is an audit token as the kernel gives one: pid and pidversion count.
func token(pid uint32) mach.AuditToken {
	return mach.AuditToken{1: 501, 2: 20, 3: 501, 4: 20, 5: pid, 7: pid + 1000}
}

// hangLimit is when a test has hung.
const hangLimit = 30 * time.Second

// testContext ends when the test hangs.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangLimit)
	t.Cleanup(cancel)
	return ctx
}

// machine is a machine with a host and a client process, checked for leaks when the
// test ends.
type machine struct {
	*machtest.Machine
	host, client machtest.Process
}

func newMachine(t *testing.T) machine {
	t.Helper()
	return newMachineOf(t, machtest.Newest)
}

func newMachineOf(t *testing.T, g machtest.Generation) machine {
	t.Helper()
	checkGoroutines(t)
	k := machtest.OpenAs(t, g)
	m := machine{k, k.NewTask(token(100)), k.NewTask(token(200))}
	t.Cleanup(func() {
		m.checkEmpty(t)
	})
	return m
}

func (m machine) checkEmpty(t *testing.T) {
	t.Helper()
	assert.Equal(t, machtest.Usage{}, m.host.Usage(), "host leaks:\n%s", m.host.Describe())
	assert.Equal(t, machtest.Usage{}, m.client.Usage(), "client leaks:\n%s", m.client.Describe())
	assert.Zero(t, m.LivePorts(), "ports outlive their tasks")
}

// checkGoroutines fails the test if goroutines of the package outlive it.
func checkGoroutines(t *testing.T) {
	t.Cleanup(func() {
		buf := make([]byte, 1<<20)
		// A goroutine that was joined may still be on its last instruction.
		assert.Eventually(t, func() bool {
			return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "machlink.(*loop)")
		}, hangLimit, time.Millisecond, "a loop outlives its users")
	})
}

// pair connects client to host and returns both ends, closed with the test.
func (m machine) pair(t *testing.T) (host, client link.Link) {
	t.Helper()
	return pairOf(t, m.host, m.client)
}

func pairOf(t *testing.T, hostTask, clientTask mach.Kernel) (host, client link.Link) {
	t.Helper()
	host, client = machlinktest.Pair(t, hostTask, clientTask, service)
	t.Cleanup(func() {
		closeLink(t, client)
		closeLink(t, host)
	})
	return host, client
}

// closeLink closes a link whose task may have been killed: then the kernel has
// taken everything back, and says so.
func closeLink(t *testing.T, l link.Link) {
	if err := l.Close(); !errors.Is(err, mach.KernInvalidTask) {
		assert.NoError(t, err)
	}
}

// fill writes frames until the kernel's queue and the inbox of to, whose reader does
// not read, are both full, and returns their number. It fails at more than most.
func fill(t *testing.T, from, to link.Link, most uint32, frame func(i uint32) []byte) (n uint32) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// HungUp gives the receiver's loop a turn, in which it may move a frame from the
	// queue to the inbox. The inbox holds at most 64 frames.
	for turns := 0; turns < 100; turns++ {
		for ; ; n++ {
			if err := from.WriteFrame(ended, nil, frame(n)); err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			require.Less(t, n, most, "memory for a peer that does not read is not bounded")
			turns = 0
		}
		require.False(t, to.HungUp())
	}
	return n
}

func TestFramesArriveInOrderWhole(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	sizes := []int{0, 1, 3, 4, 5, 100, 4096, machlink.MaxFrame - 1, machlink.MaxFrame}
	const rounds = 400
	go func() {
		body := make([]byte, machlink.MaxFrame)
		for i := range rounds {
			n := sizes[i%len(sizes)]
			for j := range n {
				body[j] = byte(i + j)
			}
			head := min(n, 7)
			if !assert.NoError(t, client.WriteFrame(ctx, body[:head], body[head:n])) {
				return
			}
		}
		assert.NoError(t, client.CloseWrite(ctx))
	}()
	for i := range rounds {
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		require.Len(t, f, sizes[i%len(sizes)])
		for j := range f {
			if f[j] != byte(i+j) {
				require.Failf(t, "wrong byte", "frame %d, byte %d", i, j)
			}
			f[j] = 0xff // the reader may scribble
		}
	}
	_, err := host.ReadFrame(ctx)
	assert.Equal(t, io.EOF, err)
	_, err = host.ReadFrame(ctx)
	assert.Equal(t, io.EOF, err)

	// The other direction goes on.
	require.NoError(t, host.WriteFrame(ctx, nil, []byte("still here")))
	f, err := client.ReadFrame(ctx)
	require.NoError(t, err)
	assert.Equal(t, "still here", string(f))
	assert.ErrorIs(t, client.WriteFrame(ctx, nil, nil), link.ErrClosed)
	assert.ErrorIs(t, client.WriteFrame(ctx, nil, make([]byte, machlink.MaxFrame+1)), link.ErrFrameTooLarge)
}

func TestBackpressure(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)

	// The host does not read: the writer must block, within the bounds.
	body := make([]byte, 1000)
	n := fill(t, client, host, 2000, func(i uint32) []byte {
		binary.LittleEndian.PutUint32(body, i)
		return body
	})
	assert.GreaterOrEqual(t, n, uint32(mach.QueueLimitMax))
	assert.True(t, client.Backlogged())
	assert.Equal(t, uint64(n), client.Unacknowledged())
	waiting, stop := context.WithCancel(ctx)
	stop()
	assert.ErrorIs(t, client.WaitDrained(waiting), context.Canceled)

	// A blocked writer goes on when there is room, and what was written before
	// the deadline arrives once.
	var wg sync.WaitGroup
	wg.Go(func() {
		assert.NoError(t, client.WriteFrame(ctx, nil, []byte("last")))
		assert.NoError(t, client.WaitDrained(ctx))
		assert.False(t, client.Backlogged())
	})
	for i := range n {
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		require.Equal(t, i, binary.LittleEndian.Uint32(f))
	}
	f, err := host.ReadFrame(ctx)
	require.NoError(t, err)
	assert.Equal(t, "last", string(f))

	// A reader that waits tells what it has dealt with, exactly.
	reading, stopReading := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		_, err := host.ReadFrame(reading)
		assert.ErrorIs(t, err, context.Canceled)
	})
	wg.Wait()
	assert.Zero(t, client.Unacknowledged())
	stopReading()
	reader.Wait()
}

func TestUnreadCountsTheFrameBeingDealtWith(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	require.NoError(t, client.WriteFrame(ctx, nil, []byte("one")))
	_, err := host.ReadFrame(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 1, client.Unacknowledged())
}

func TestPeerDeath(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	const frames = 300 // more than the inbox holds
	for i := range frames {
		require.NoError(t, client.WriteFrame(ctx, nil, fmt.Appendf(nil, "%d", i)))
	}
	m.client.Kill()
	<-host.Gone().Done()
	for i := range frames {
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(f))
	}
	for range 2 {
		_, err := host.ReadFrame(ctx)
		assert.ErrorIs(t, err, link.ErrPeerGone)
		assert.ErrorIs(t, host.WriteFrame(ctx, nil, nil), link.ErrPeerGone)
		assert.ErrorIs(t, host.WaitDrained(ctx), link.ErrPeerGone)
	}
}

func TestDeathUnblocksWriter(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	errs := make(chan error)
	go func() {
		for {
			if err := client.WriteFrame(ctx, nil, []byte("x")); err != nil {
				errs <- err
				return
			}
		}
	}()
	assert.Eventually(t, func() bool { return client.Unacknowledged() >= mach.QueueLimitMax }, hangLimit, time.Millisecond)
	m.host.Kill()
	assert.ErrorIs(t, <-errs, link.ErrPeerGone)
	_ = host
}

func TestCloseDeliversAndEnds(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	// Fill the queue: the end needs no room in it.
	n := fill(t, client, host, 2000, func(uint32) []byte { return []byte{1} })
	require.NoError(t, client.Close())
	<-host.Gone().Done()
	for range n {
		_, err := host.ReadFrame(ctx)
		require.NoError(t, err)
	}
	_, err := host.ReadFrame(ctx)
	assert.Equal(t, io.EOF, err)
	assert.ErrorIs(t, host.WriteFrame(ctx, nil, nil), link.ErrPeerGone)
}

func TestInterruptUnblocksEveryone(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	errs := make(chan error, 3)
	go func() { _, err := client.ReadFrame(ctx); errs <- err }()
	go func() {
		for {
			if err := client.WriteFrame(ctx, nil, nil); err != nil {
				errs <- err
				return
			}
		}
	}()
	assert.Eventually(t, func() bool { return client.Unacknowledged() >= mach.QueueLimitMax }, hangLimit, time.Millisecond)
	go func() { errs <- client.WaitDrained(ctx) }()
	client.Interrupt()
	client.Interrupt()
	for range 3 {
		assert.ErrorIs(t, <-errs, link.ErrClosed)
	}
	_, err := client.ReadFrame(ctx)
	assert.ErrorIs(t, err, link.ErrClosed)
	_ = host
}

// TestReadAfterContext: what the peer has written is there for a reader whose
// context has ended, be it in the kernel still.
func TestReadAfterContext(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 1000 {
		require.NoError(t, client.WriteFrame(testContext(t), nil, []byte{byte(i)}))
		f, err := host.ReadFrame(ended)
		require.NoError(t, err, "frame %d", i)
		require.Equal(t, []byte{byte(i)}, f)
	}
	_, err := host.ReadFrame(ended)
	require.ErrorIs(t, err, context.Canceled)
	// As many as fill the queue and the inbox.
	n := 0
	for ; client.WriteFrame(ended, nil, []byte("x")) == nil; n++ {
	}
	for range n {
		_, err := host.ReadFrame(ended)
		require.NoError(t, err)
	}
	require.NoError(t, client.CloseWrite(testContext(t)))
	_, err = host.ReadFrame(ended)
	require.ErrorIs(t, err, io.EOF)
}

// TestHungUpAtOnce: HungUp knows what the peer has just done, and Unacknowledged what it
// had dealt with before.
func TestHungUpAtOnce(t *testing.T) {
	ends := map[string]func(t *testing.T, m machine, host link.Link){
		"close": func(t *testing.T, _ machine, host link.Link) { closeLink(t, host) },
		"death": func(_ *testing.T, m machine, _ link.Link) { m.host.Kill() },
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, end := range ends {
		for range 50 {
			t.Run(name, func(t *testing.T) {
				m := newMachine(t)
				host, client := m.pair(t)
				assert.False(t, client.HungUp())
				for range 3 {
					require.NoError(t, client.WriteFrame(testContext(t), nil, []byte("x")))
				}
				for range 3 {
					_, err := host.ReadFrame(testContext(t))
					require.NoError(t, err)
				}
				// A reader that gives up acknowledges what it has dealt with.
				_, err := host.ReadFrame(ended)
				require.ErrorIs(t, err, context.Canceled)
				end(t, m, host)
				require.True(t, client.HungUp())
				require.Zero(t, client.Unacknowledged())
			})
		}
	}
}
