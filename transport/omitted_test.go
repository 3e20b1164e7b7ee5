package transport_test

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/transport"
)

// gone is a client that has gone before its hello.
type gone struct {
	rendezvous.Incoming
	uid uint32
}

func (gone) Hello(context.Context) ([]byte, error) { return nil, transport.ErrPeerGone }
func (g gone) From() fair.Process                  { return fair.Process{UID: g.uid, PID: 1} }
func (gone) Close() error                          { return nil }

// crowd is a carrier whose listener has clients of these users.
type crowd struct {
	rendezvous.Carrier
	uids   []uint32
	closed chan struct{}
}

func (c *crowd) Listen(string, rendezvous.Options) (rendezvous.Listener, error) { return c, nil }

func (c *crowd) Accept() (rendezvous.Incoming, error) {
	if len(c.uids) == 0 {
		<-c.closed
		return nil, os.ErrClosed
	}
	in := gone{uid: c.uids[0]}
	c.uids = c.uids[1:]
	synctest.Wait() // one after the other
	return in, nil
}

func (c *crowd) Watch() error { return os.ErrClosed }

func (c *crowd) Close() error {
	close(c.closed)
	return nil
}

// omissions is a slog.Handler that keeps the attributes of records on clients that are not
// logged one by one.
type omissions struct {
	slog.Handler
	mu   sync.Mutex
	seen []map[string]any
}

func (*omissions) Enabled(context.Context, slog.Level) bool { return true }

func (o *omissions) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "clients refused or failed, not logged one by one" {
		return nil
	}
	attrs := make(map[string]any)
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.Any()
		return true
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, attrs)
	return nil
}

// Clients that are not logged one by one are logged with their user, or with that they are of
// several: not as root's.
func TestOmittedClientsAreNotRoots(t *testing.T) {
	const each, users = 8, 64 // that are told apart
	synctest.Test(t, func(t *testing.T) {
		var uids []uint32
		for uid := range uint32(users) {
			uids = append(uids, 1000+uid)
		}
		for range each {
			uids = append(uids, 1000) // of which the last is one too many
		}
		for uid := range uint32(each + 2) {
			uids = append(uids, 2000+uid) // of which the last two are too many
		}
		logged := &omissions{}
		h, err := transport.NewHost("com.example.omitted", func(context.Context, transport.Message[string]) {}, &transport.Config{
			Carrier: &crowd{uids: uids, closed: make(chan struct{})}, Logger: slog.New(logged),
		})
		require.NoError(t, err)
		time.Sleep(time.Minute) // of the bubble's time
		require.NoError(t, h.Close())
		require.Len(t, logged.seen, 2)
		of, others := logged.seen[0], logged.seen[1]
		assert.EqualValues(t, 1000, of["uid"])
		assert.EqualValues(t, 1, of["count"])
		assert.Equal(t, true, others["others"])
		assert.NotContains(t, others, "uid")
		assert.EqualValues(t, 2, others["count"])
	})
}
