package conn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/peer"
)

// scripted is a Carrier, and its Listener, whose Accept returns what the test says, and
// then waits for Close.
type scripted struct {
	rendezvous.Carrier
	results []error // nil: a client that sends no hello
	closed  chan struct{}
	once    sync.Once

	began  time.Time
	called []time.Duration // since the beginning; read after the Listener has closed
}

func (s *scripted) Listen(string, rendezvous.Options) (rendezvous.Listener, error) { return s, nil }

func (s *scripted) Accept() (rendezvous.Incoming, error) {
	s.called = append(s.called, time.Since(s.began))
	if len(s.called) > len(s.results) {
		<-s.closed
		return nil, os.ErrClosed
	}
	if err := s.results[len(s.called)-1]; err != nil {
		return nil, fmt.Errorf("accept: %w", err) // another value each time
	}
	return silentClient{}, nil
}

func (s *scripted) Watch() error { return os.ErrClosed }

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// silentClient has gone before its hello.
type silentClient struct{ rendezvous.Incoming }

func (silentClient) Hello(context.Context) ([]byte, error) { return nil, link.ErrPeerGone }
func (silentClient) From() fair.Process                    { return fair.Process{} }
func (silentClient) Close() error                          { return nil }

// While accepting fails, a listener tries again after growing pauses, and reports each
// error once.
func TestAcceptFailures(t *testing.T) {
	one, other := errors.New("one"), errors.New("another")
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{
			results: []error{one, one, one, one, one, one, one, other, other, one, nil, one, one},
			closed:  make(chan struct{}), began: time.Now(),
		}
		var mu sync.Mutex
		var reports []error
		l, err := conn.Listen("com.example.conn", &conn.Config{
			Carrier: s, Peer: peer.SameUser(), Content: "bytes",
			MaxMessageSize: 1000, MaxConnections: 1, HandshakeTimeout: limit,
			Report: func(_ *peer.Identity, err error) {
				if !errors.Is(err, link.ErrPeerGone) { // the client
					mu.Lock()
					defer mu.Unlock()
					reports = append(reports, err)
				}
			},
		})
		require.NoError(t, err)
		time.Sleep(time.Minute) // of the bubble's time
		require.NoError(t, l.Close())

		const ms = time.Millisecond
		pauses := []time.Duration{
			50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second, // one
			50 * ms, 100 * ms, // another
			50 * ms, 0, // one, and a client
			50 * ms, 100 * ms, // one again
		}
		want, sum := []time.Duration{0}, time.Duration(0)
		for _, p := range pauses {
			sum += p
			want = append(want, sum)
		}
		assert.Equal(t, want, s.called)
		require.Len(t, reports, 4)
		for i, want := range []error{one, other, one, one} {
			assert.ErrorIs(t, reports[i], want)
		}
	})
}
