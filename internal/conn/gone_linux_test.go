package conn_test

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// toExited is a Carrier whose hosts say hello and end.
type toExited struct {
	rendezvous.Carrier
	cred *cred.Credentials
}

func (e toExited) Dial(context.Context, string, []byte, rendezvous.Options) (rendezvous.Outgoing, error) {
	return exitedHost{cred: e.cred}, nil
}

type exitedHost struct {
	rendezvous.Outgoing
	cred *cred.Credentials
}

func (h exitedHost) Hello() []byte                  { return exitedHello() }
func (h exitedHost) Accepted() bool                 { return true }
func (h exitedHost) Credentials() *cred.Credentials { return h.cred }
func (h exitedHost) Close() error                   { return nil }

type exitedClient struct {
	rendezvous.Incoming // nil: it can be neither accepted nor refused
	cred                *cred.Credentials
}

func (c exitedClient) From() fair.Process                    { return fair.Process{} }
func (c exitedClient) Hello(context.Context) ([]byte, error) { return exitedHello(), nil }
func (c exitedClient) Credentials() *cred.Credentials        { return c.cred }
func (c exitedClient) Close() error                          { return nil }

func exitedHello() []byte {
	return wire.Hello{Version: wire.Version, MaxMessage: 1000, Content: "bytes"}.Append(nil)
}

// A process that ends after its hello is gone, and not refused: a program that gives up
// when it is refused would give up while its host restarts.
func TestExitedPeerIsGone(t *testing.T) {
	pidfd := -1
	child := exec.Command("/proc/self/exe", "-test.run=^$")
	child.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	require.NoError(t, child.Run())
	if pidfd < 0 {
		t.Skip("needs pidfds (Linux 5.4)")
	}
	credentials := cred.New(syscall.Close)
	credentials.PIDFD = pidfd
	credentials.Message = cred.UCred{PID: int32(child.Process.Pid)}
	defer credentials.Close()

	c := &conn.Config{
		Peer: peer.SameUser(), Content: "bytes", MaxMessageSize: 1000, MaxConnections: 1, HandshakeTimeout: limit,
	}
	check := func(t *testing.T, err error) {
		var refused *peer.RefusedError
		assert.ErrorIs(t, err, link.ErrPeerGone)
		assert.ErrorIs(t, err, peer.ErrGone)
		assert.False(t, errors.As(err, &refused))
	}
	t.Run("host", func(t *testing.T) {
		c.Carrier = toExited{cred: credentials}
		_, err := conn.Dial(t.Context(), "com.example.conn", c)
		check(t, err)
	})
	t.Run("client", func(t *testing.T) {
		clients := &arrivals{in: make(chan rendezvous.Incoming), closed: make(chan struct{})}
		reports := make(chan error, 1)
		c.Carrier, c.Report = clients, func(_ *peer.Identity, err error) { reports <- err }
		l, err := conn.Listen("com.example.conn", c)
		require.NoError(t, err)
		clients.in <- exitedClient{cred: credentials}
		check(t, <-reports)
		assert.Zero(t, l.Refused())
		require.NoError(t, l.Close())
	})
}
