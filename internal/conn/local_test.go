package conn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/peer"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// limit is when a test has hung.
const limit = 30 * time.Second

// security is one whose check within the process is a function.
type security struct {
	conn.Security // for other processes, of which there are none
	local         func(ctx context.Context) error
}

func (security) HalfOpen() (total, perUser int) { return 8, 8 }

func (s security) Local(ctx context.Context, _ string, _ conn.Security) (ofHost, ofClient conn.Proof, err error) {
	return ofHost, ofClient, s.local(ctx)
}

// config is a configuration of both sides, and what the listener reports.
func config(t *testing.T) (*conn.Config, <-chan error) {
	carrier, err := rendezvous.System()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs a carrier: Linux or Darwin")
	}
	require.NoError(t, err)
	c := &conn.Config{
		Carrier: carrier, Peer: peer.SameUser(), Content: "bytes", InProcess: true,
		MaxMessageSize: 1000, MaxConnections: 1, HandshakeTimeout: limit,
	}
	if carrierHasDirectory {
		c.Options.Dir = filepath.Join(t.TempDir(), "endpoints")
	}
	reports := make(chan error, 10)
	c.Report = func(_ *peer.Identity, err error) {
		select {
		case reports <- err:
		default: // nobody looks at so many
		}
	}
	return c, reports
}

func listen(t *testing.T, c *conn.Config) *conn.Listener {
	l, err := conn.Listen(fmt.Sprintf("com.example.conn.%d.%s", os.Getpid(), t.Name()), c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(limit):
		require.FailNow(t, "nothing came")
	}
	return v
}

// A client within the process that gives up while the host decides on it is no
// connection, as one of another process, and leaves its slot.
func TestLocalClientLeaves(t *testing.T) {
	c, reports := config(t)
	entered, free := make(chan context.Context), make(chan struct{})
	c.Security = security{local: func(ctx context.Context) error {
		entered <- ctx
		<-free
		return nil
	}}
	l := listen(t, c)
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "the client's"))
	dialled := make(chan error)
	go func() {
		_, err := conn.Dial(ctx, l.Endpoint(), c)
		dialled <- err
	}()
	inside := await(t, entered)
	assert.Equal(t, "the client's", inside.Value(key{}))
	cancel()
	require.ErrorIs(t, await(t, dialled), context.Canceled)
	await(t, inside.Done())
	close(free)
	accepted := make(chan *conn.Conn, 1)
	go func() {
		if c, err := l.Accept(context.Background()); err == nil {
			accepted <- c
		}
	}()
	select {
	case err := <-reports:
		require.ErrorIs(t, err, link.ErrPeerGone)
	case c := <-accepted:
		assert.NoError(t, c.Close())
		require.Fail(t, "the client that has left was accepted")
	case <-time.After(limit):
		require.Fail(t, "nothing came")
	}
	assert.Zero(t, l.Refused())

	go func() { <-entered }()
	second, err := conn.Dial(context.Background(), l.Endpoint(), c)
	require.NoError(t, err)
	assert.NoError(t, second.Close())
	assert.NoError(t, await(t, accepted).Close())
}

// A client that gives up before it has seen the answer closes what came with it: the
// host, which has accepted it, learns that it has gone. On one processor the host's
// goroutine answers before the client's runs again.
func TestLocalAnswerAndLeave(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c, reports := config(t)
	var leave func()
	c.Security = security{local: func(context.Context) error {
		leave()
		return nil
	}}
	l := listen(t, c)
	accepted := make(chan *conn.Conn, 1)
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	answered := 0
	for range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		leave = cancel
		mine, err := conn.Dial(ctx, l.Endpoint(), c)
		if err == nil { // it has seen the answer first
			assert.NoError(t, mine.Close())
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		select {
		case theirs := <-accepted:
			await(t, theirs.Gone().Done())
			assert.NoError(t, theirs.Close())
			if err != nil {
				answered++
			}
		case err := <-reports: // it left before the answer
			require.ErrorIs(t, err, link.ErrPeerGone)
		case <-time.After(limit):
			require.FailNow(t, "nothing came")
		}
	}
	assert.Positive(t, answered, "no client left after the answer")
}
