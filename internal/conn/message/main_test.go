package message_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// limit is when a test has hung.
const limit = 30 * time.Second

func hung(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// await receives from a channel, unless the test has hung.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-hung(t).Done():
		require.FailNow(t, "nothing came")
	}
	return v
}

// ended is a context that is over.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

const megabyte = 1 << 20

// both runs a test with and without coalescing.
func both(t *testing.T, test func(t *testing.T, cfg message.Config)) {
	for _, coalesce := range []bool{false, true} {
		t.Run(fmt.Sprintf("coalesce=%v", coalesce), func(t *testing.T) {
			test(t, message.Config{MaxSend: 4 * megabyte, MaxReceive: 4 * megabyte, Coalesce: coalesce, Closed: closed})
		})
	}
}

// plain does not coalesce.
var plain = message.Config{MaxSend: megabyte, MaxReceive: megabyte, Closed: closed}

// closeError is what a goodbye of the peer becomes.
type closeError struct{ reason string }

func (e *closeError) Error() string { return e.reason }

func closed(reason string) error { return &closeError{reason} }

// pair connects two Conns.
func pair(t *testing.T, cfg message.Config) (a, b *message.Conn) {
	la, lb := mem.Pair()
	return conn(t, la, cfg), conn(t, lb, cfg)
}

func conn(t *testing.T, l link.Link, cfg message.Config) *message.Conn {
	c := message.NewConn(l, cfg)
	t.Cleanup(func() { _ = c.Abort() })
	return c
}

// half is a Conn whose peer is a bare link.
func half(t *testing.T, cfg message.Config) (*message.Conn, link.Link, link.Link) {
	mine, other := mem.Pair()
	t.Cleanup(func() { _ = other.Close() })
	return conn(t, mine, cfg), mine, other
}

// The format of docs/PROTOCOL.md, "Messages", written out once more.
func word(kind uint32, n int) []byte {
	return binary.LittleEndian.AppendUint32(nil, kind<<30|uint32(n))
}

func whole(p string) []byte { return append(word(0, len(p)), p...) }

func first(total uint64, p string) []byte {
	return append(binary.LittleEndian.AppendUint64(word(1, len(p)), total), p...)
}

func next(p string) []byte { return append(word(2, len(p)), p...) }

// items splits a frame of whole messages.
func items(t *testing.T, frame []byte) (all []string) {
	t.Helper()
	for len(frame) > 0 {
		require.GreaterOrEqual(t, len(frame), 4)
		w := binary.LittleEndian.Uint32(frame)
		require.Zero(t, w>>30, "not a whole message")
		n := int(w & (1<<30 - 1))
		require.LessOrEqual(t, n, len(frame)-4)
		all = append(all, string(frame[4:4+n]))
		frame = frame[4+n:]
	}
	return all
}

// pattern is bytes of which no two pieces are the same.
func pattern(size int) []byte {
	p := make([]byte, size)
	x := uint32(size) + 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return p
}
