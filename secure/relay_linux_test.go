package secure_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

func init() { roles["relay"] = relay }

// front is where a relay listens, beside the real host's dir.
func front(dir string) string { return dir + ".front" }

// relay is a process between clients and the real host: it passes on every hello
// and every frame as it is.
func relay(dir string) {
	ctx := context.Background()
	l, err := system().Listen(endpoint, rendezvous.Options{Dir: front(dir)})
	must(err)
	go func() {
		for {
			in, err := l.Accept()
			must(err)
			go func() {
				hello, err := in.Hello(ctx)
				if err != nil {
					return
				}
				out, err := system().Dial(ctx, endpoint, hello, rendezvous.Options{Dir: dir})
				must(err)
				answer := append([]byte(nil), out.Hello()...)
				back, err := out.Link()
				must(err)
				forth, err := in.Accept(ctx, answer)
				must(err)
				go pass(back, forth)
				pass(forth, back)
			}()
		}
	}()
}

// pass passes frames on until one side ends, and then ends the other.
func pass(from, to link.Link) {
	ctx := context.Background()
	for {
		frame, err := from.ReadFrame(ctx)
		if err != nil {
			_ = to.CloseWrite(ctx)
			to.Interrupt()
			return
		}
		if to.WriteFrame(ctx, nil, frame) != nil {
			return
		}
	}
}

// TestRelayFails: a process that only passes bytes between a client and a host that
// trust each other's keys does not get through the handshake, with any pattern. A
// plain connection it relays well, so it does what it should.
func TestRelayFails(t *testing.T) {
	for _, role := range []string{"plain echo", "secure echo"} {
		w := newWorld(t)
		w.start(t, role, 0)
		w.start(t, "relay", 0)
		direct := w.dir
		if role == "plain echo" {
			c, err := transport.Dial(hung(t), endpoint, &transport.Config{Dir: front(w.dir)})
			require.NoError(t, err)
			require.NoError(t, c.Send(hung(t), []byte("through")))
			got, err := c.Receive(hung(t))
			require.NoError(t, err)
			require.Equal(t, "through", string(got))
			require.NoError(t, c.Close())
			continue
		}
		_, err := w.talk(t, clientConfig(nil))
		require.NoError(t, err)
		w.dir = front(direct)
		_, err = w.talk(t, clientConfig(nil))
		require.ErrorIs(t, err, secure.ErrHandshake)
	}
	// It is the host that notices, in message 1, and says so in its log.
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		w := newWorld(t)
		client, host := configsOf(pattern)
		h := w.echo(t, host)
		w.start(t, "relay", 0)
		w.dir = front(w.dir)
		w.refused(t, client, handshake.ErrAuthentication)
		assert.Zero(t, h.Stats().Accepted)
	}
}
