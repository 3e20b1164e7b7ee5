package conn_test

import (
	"context"
	"errors"
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

// arrivals is a Carrier, and its Listener, whose clients the test sends.
type arrivals struct {
	rendezvous.Carrier
	in     chan rendezvous.Incoming
	closed chan struct{}
	once   sync.Once
}

func (a *arrivals) Listen(string, rendezvous.Options) (rendezvous.Listener, error) { return a, nil }

func (a *arrivals) Accept() (rendezvous.Incoming, error) {
	select {
	case in := <-a.in:
		return in, nil
	case <-a.closed:
		return nil, os.ErrClosed
	}
}

func (a *arrivals) Watch() error { return os.ErrClosed }

func (a *arrivals) Close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}

// stranger is a client of a user that says no hello: it goes at once, or waits.
type stranger struct {
	rendezvous.Incoming
	uid   uint32
	waits bool
}

func (s stranger) From() fair.Process { return fair.Process{UID: s.uid} }
func (stranger) Close() error         { return nil }

func (s stranger) Hello(ctx context.Context) ([]byte, error) {
	if !s.waits {
		return nil, link.ErrPeerGone
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// report is one that a Listener has made.
type report struct {
	err error
	at  time.Duration
}

// scene is a Listener in a synctest bubble, and its reports.
type scene struct {
	*arrivals
	l *conn.Listener

	mu      sync.Mutex
	begin   time.Time
	reports []report
}

func newScene(t *testing.T, timeout time.Duration) *scene {
	s := &scene{arrivals: &arrivals{in: make(chan rendezvous.Incoming), closed: make(chan struct{})}, begin: time.Now()}
	var err error
	s.l, err = conn.Listen("com.example.conn", &conn.Config{
		Carrier: s.arrivals, Peer: peer.SameUser(), Content: "bytes",
		MaxMessageSize: 1000, MaxConnections: 1, HandshakeTimeout: timeout,
		Report: func(_ *peer.Identity, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reports = append(s.reports, report{err, time.Since(s.begin)})
		},
	})
	require.NoError(t, err)
	return s
}

// come has n clients of a user come and go.
func (s *scene) come(uid uint32, n int) {
	for range n {
		s.in <- stranger{uid: uid}
	}
	synctest.Wait()
}

// wait lets time pass, and what is due then happen.
func (s *scene) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// said returns the reports since the last call: how many are on one client, and those on
// many, by user.
func (s *scene) said(t *testing.T) (single int, many map[uint32]uint64, others uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	many = map[uint32]uint64{}
	for _, r := range s.reports {
		require.ErrorIs(t, r.err, link.ErrPeerGone)
		var omitted *conn.OmittedError
		switch {
		case !errors.As(r.err, &omitted):
			single++
		case omitted.Others:
			others += omitted.Count
		default:
			assert.NotContains(t, many, omitted.UID, "one report for a user")
			many[omitted.UID] = omitted.Count
		}
	}
	s.reports = nil
	return single, many, others
}

// A client that says no hello is dropped after 3 seconds, or HandshakeTimeout if that is
// less.
func TestSilentClient(t *testing.T) {
	for timeout, after := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, timeout)
			s.in <- stranger{waits: true}
			s.wait(2 * time.Minute)
			require.Len(t, s.reports, 1)
			assert.ErrorIs(t, s.reports[0].err, context.DeadlineExceeded)
			assert.Equal(t, after, s.reports[0].at)
			assert.Zero(t, s.l.Refused())
			require.NoError(t, s.l.Close())
		})
	}
}

// One silent client too many of a user displaces one, and another user is not affected.
func TestSilentCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perUser = 1024
		s := newScene(t, time.Minute)
		for range perUser {
			s.in <- stranger{uid: 1, waits: true}
		}
		s.in <- stranger{uid: 2, waits: true}
		synctest.Wait()
		require.Zero(t, s.l.Refused())
		for range 3 {
			s.in <- stranger{uid: 1, waits: true}
		}
		synctest.Wait()
		assert.EqualValues(t, 3, s.l.Refused())
		require.Len(t, s.reports, 3)
		for _, r := range s.reports {
			assert.ErrorIs(t, r.err, conn.ErrBusy)
		}
		require.NoError(t, s.l.Close())
	})
}

// Of one user's clients the first 8 are reported one by one, then how many there were,
// every 10 seconds; after 10 seconds without any it begins anew.
func TestReportsOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, time.Minute)
		expect := func(wantSingle int, wantMany map[uint32]uint64) {
			t.Helper()
			single, many, _ := s.said(t)
			assert.Equal(t, wantSingle, single)
			assert.Equal(t, wantMany, many)
		}
		none := map[uint32]uint64{}
		s.come(1, 100)
		s.come(2, 7)
		expect(8+7, none)
		s.wait(10 * time.Second)
		expect(0, map[uint32]uint64{1: 92})
		s.come(1, 5)
		s.come(2, 2)
		expect(1, none)
		s.wait(10 * time.Second)
		expect(0, map[uint32]uint64{1: 5, 2: 1})
		s.wait(10 * time.Second)
		expect(0, none)
		s.come(1, 10)
		expect(8, none)
		require.NoError(t, s.l.Close())
		expect(0, map[uint32]uint64{1: 2}) // what is left, before Close returns
		s.wait(time.Minute)
		expect(0, none)
	})
}

// However many users there are, there are few reports.
func TestReportsOfManyUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, time.Minute)
		for uid := range uint32(1000) {
			s.come(uid, 9)
		}
		single, many, others := s.said(t)
		assert.Equal(t, 65*8, single)
		assert.Empty(t, many)
		assert.Zero(t, others)
		s.wait(10 * time.Second)
		_, many, others = s.said(t)
		assert.Len(t, many, 64)
		assert.EqualValues(t, (1000-64)*9-8, others)
		require.NoError(t, s.l.Close())
	})
}
