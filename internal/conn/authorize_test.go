package conn_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// unknownClient says hello and is not there to be identified: the kernel tells only who
// made its end of the connection.
type unknownClient struct {
	rendezvous.Incoming
	from    cred.UCred
	refused chan struct{}
}

func (c *unknownClient) From() fair.Process {
	return fair.Process{UID: c.from.UID, PID: uint32(c.from.PID)}
}

func (c *unknownClient) Hello(context.Context) ([]byte, error) {
	return wire.Hello{Version: wire.Version, MaxMessage: 1000, Content: "bytes"}.Append(nil), nil
}

func (c *unknownClient) Credentials() *cred.Credentials {
	k := cred.New(nil)
	k.Socket = c.from
	return k
}

func (c *unknownClient) Refuse(context.Context, []byte) error {
	close(c.refused)
	return nil
}

// once is a carrier whose listener has one client.
type once struct {
	rendezvous.Carrier
	client rendezvous.Incoming
	first  sync.Once
	closed chan struct{}
}

func (o *once) Listen(string, rendezvous.Options) (rendezvous.Listener, error) { return o, nil }

func (o *once) Accept() (in rendezvous.Incoming, err error) {
	o.first.Do(func() { in = o.client })
	if in == nil {
		<-o.closed
		err = os.ErrClosed
	}
	return in, err
}

func (o *once) Watch() error { return os.ErrClosed }

func (o *once) Close() error {
	close(o.closed)
	return nil
}

// A client that could not be identified is not reported as root's, but with what is known.
func TestRefusedWithoutIdentity(t *testing.T) {
	for _, row := range []struct {
		from cred.UCred
		says []string
	}{
		{cred.UCred{PID: 4711, UID: 1234, GID: 5}, []string{"pid 4711", "uid 1234"}},
		{cred.UCred{UID: 1234, GID: 5}, []string{"uid 1234"}}, // in another pid namespace
		{cred.UCred{}, nil},
	} {
		client := &unknownClient{from: row.from, refused: make(chan struct{})}
		reports := make(chan error, 1)
		l, err := conn.Listen("com.example.conn", &conn.Config{
			Carrier: &once{client: client, closed: make(chan struct{})}, Peer: peer.Root(), Content: "bytes",
			MaxMessageSize: 1000, MaxConnections: 1, HandshakeTimeout: limit,
			Report: func(_ *peer.Identity, err error) { reports <- err },
		})
		require.NoError(t, err)
		hung := time.After(limit)
		select {
		case <-client.refused:
		case <-hung:
			require.FailNow(t, "it was not refused")
		}
		select {
		case err = <-reports:
		case <-hung:
			require.FailNow(t, "it was not reported")
		}
		require.NoError(t, l.Close())
		var refused *peer.RefusedError
		require.ErrorAs(t, err, &refused)
		require.ErrorIs(t, err, peer.ErrNoIdentity)
		assert.Zero(t, refused.Token)
		for _, part := range row.says {
			assert.Contains(t, err.Error(), part)
		}
		for _, never := range []string{"uid=0", "pid=0", "pid 0", "uid 0"} {
			assert.NotContains(t, err.Error(), never)
		}
	}
}
