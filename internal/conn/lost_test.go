package conn_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// losing is a Carrier, and its Listener, without clients from other processes, whose
// Watch returns what the test says.
type losing struct {
	rendezvous.Carrier
	reports chan error
	closed  chan struct{}
}

func (s *losing) Listen(string, rendezvous.Options) (rendezvous.Listener, error) { return s, nil }

func (s *losing) Accept() (rendezvous.Incoming, error) {
	<-s.closed
	return nil, os.ErrClosed
}

func (s *losing) Watch() error {
	select {
	case err := <-s.reports:
		return err
	case <-s.closed:
		return os.ErrClosed
	}
}

func (s *losing) Close() error {
	close(s.closed)
	return nil
}

// A listener that has lost its name to another process reports that, and ends; a client that
// has been told before that it is accepted is accepted.
func TestListenerThatHasLostItsName(t *testing.T) {
	c, reports := config(t)
	carrier := &losing{Carrier: c.Carrier, reports: make(chan error), closed: make(chan struct{})}
	c.Carrier = carrier
	l := listen(t, c)
	again := &rendezvous.LostError{What: "it"}
	carrier.reports <- again
	require.Same(t, again, await(t, reports))

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	client, err := conn.Dial(ctx, l.Endpoint(), c)
	require.NoError(t, err)
	defer client.Abort()
	lost := &rendezvous.LostError{What: "it", Ended: true, Err: rendezvous.ErrInUse}
	carrier.reports <- lost
	require.Same(t, lost, await(t, reports))
	<-carrier.closed
	host, err := l.Accept(ctx)
	require.NoError(t, err)
	defer host.Abort()
	for range 2 {
		_, err = l.Accept(ctx)
		require.Same(t, lost, err)
	}
}
