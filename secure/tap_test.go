package secure_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/secure"
)

// tap is a man in the middle: the link of one side, which sees every record that
// this side writes, and can keep records and insert others.
type tap struct {
	link.Link
	mu      sync.Mutex
	seen    [][]byte // everything, also what the link then did not take
	keeping bool
	kept    [][]byte
}

func (m *tap) WriteFrame(ctx context.Context, head, body []byte) error {
	if m.see(append(bytes.Clone(head), body...)) {
		return nil
	}
	return m.Link.WriteFrame(ctx, head, body)
}

func (m *tap) CloseWrite(ctx context.Context, last ...[]byte) error {
	kept := func(frame []byte) bool { return m.see(bytes.Clone(frame)) }
	return m.Link.CloseWrite(ctx, slices.DeleteFunc(last, kept)...)
}

// see notes a frame, and reports whether it is kept from the peer.
func (m *tap) see(frame []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, frame)
	if m.keeping {
		m.kept = append(m.kept, frame)
	}
	return m.keeping
}

// keep keeps what f writes and returns it.
func (m *tap) keep(f func()) [][]byte {
	m.set(true)
	f()
	m.set(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.kept
	m.kept = nil
	return kept
}

func (m *tap) set(keeping bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keeping = keeping
}

// records is everything that was seen so far.
func (m *tap) records() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]byte(nil), m.seen...)
}

// side is one end of a tapped connection.
type side struct {
	*secure.Link
	tap *tap
	t   *testing.T
}

// tapped returns a connection with a tap on both sides.
func tapped(t *testing.T, changes ...func(*secure.Config)) (client, host side) {
	t.Helper()
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	c, h := pairOver(t, ta, tb, changes...)
	t.Cleanup(func() {
		_ = c.Close()
		_ = h.Close()
	})
	return side{c, ta, t}, side{h, tb, t}
}

func (s side) write(body string) {
	s.t.Helper()
	require.NoError(s.t, s.WriteFrame(hung(s.t), nil, []byte(body)))
}

func (s side) read(want string) {
	s.t.Helper()
	got, err := s.ReadFrame(hung(s.t))
	require.NoError(s.t, err)
	require.Equal(s.t, want, string(got))
}

// send seals a record of any type.
func (s side) send(t byte, body []byte) {
	s.t.Helper()
	require.NoError(s.t, s.SendRecord(hung(s.t), t, body))
}

// fails reads an error.
func (s side) fails(want ...error) {
	s.t.Helper()
	for range 2 {
		_, err := s.ReadFrame(hung(s.t))
		for _, w := range want {
			require.ErrorIs(s.t, err, w)
		}
	}
}
