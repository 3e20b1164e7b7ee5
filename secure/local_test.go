package secure_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

func skip(c *secure.Config) { c.SkipInProcessEncryption = true }

// TestInProcess: within a process everything is sealed and goes through the kernel,
// unless both sides say otherwise; the keys are checked always.
func TestInProcess(t *testing.T) {
	for _, row := range []struct {
		name         string
		client, host func(*secure.Config)
		direct       bool
	}{
		{"by default", nil, nil, false},
		{"client only", skip, nil, false},
		{"host only", nil, skip, false},
		{"both", skip, skip, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			change := func(f func(*secure.Config)) func(*secure.Config) {
				if f == nil {
					return func(*secure.Config) {}
				}
				return f
			}
			w := newWorld(t)
			h := w.echo(t, hostConfig(nil, change(row.host)))
			c, err := secure.NewSecureClient[string](hung(t), w.endpoint, w.in(clientConfig(nil, change(row.client))))
			require.NoError(t, err)
			assert.True(t, c.PeerKey().Equal(hostKey.Public()))
			require.NoError(t, c.Send(hung(t), "hello"))
			answer, err := c.Receive(hung(t))
			require.NoError(t, err)
			assert.Equal(t, "hello from "+clientKey.Public().String(), answer)
			assert.Equal(t, row.direct, h.Stats().Accepted == 0, "a connection through the kernel")
			require.NoError(t, c.Close())

			if !row.direct {
				return
			}
			for why, change := range map[error]func(*secure.Config){
				keys.ErrUntrusted:           keyed(otherKey),
				handshake.ErrOffer:          func(c *secure.Config) { c.Classical = true },
				handshake.ErrAuthentication: func(c *secure.Config) { c.PSK = psk },
			} {
				_, err = secure.NewSecureClient[string](hung(t), w.endpoint, w.in(clientConfig(nil, skip, change)))
				require.ErrorIs(t, err, secure.ErrHandshake)
				require.ErrorIs(t, err, why)
				require.ErrorIs(t, await(t, w.failures), why, "the host hears of it")
			}
			_, err = secure.NewSecureClient[string](hung(t), w.endpoint, w.in(clientConfig(nil, skip, func(c *secure.Config) {
				c.Trust = keys.Pin(otherKey.Public())
			})))
			require.ErrorIs(t, err, keys.ErrUntrusted)
		})
	}
}

// TestOverPlainConnection: Server and Client make a plain connection secure, on
// either carrier, whatever it has carried before.
func TestOverPlainConnection(t *testing.T) {
	for _, attested := range []bool{false, true} {
		w := newWorld(t)
		cfg := &transport.Config{Folder: w.folder, Attested: attested}
		l, err := transport.Listen(w.endpoint, cfg)
		require.NoError(t, err)
		ofClient, err := transport.Dial(hung(t), w.endpoint, cfg)
		require.NoError(t, err)
		ofHost, err := l.Accept(hung(t))
		require.NoError(t, err)
		require.NoError(t, ofClient.Send(hung(t), []byte("plain first")))
		p, err := ofHost.Receive(hung(t))
		require.NoError(t, err)
		require.Equal(t, "plain first", string(p))

		type made struct {
			conn *transport.Conn
			err  error
		}
		served := make(chan made)
		go func() {
			c, err := secure.Server(hung(t), ofHost, hostConfig(nil))
			served <- made{c, err}
		}()
		client, err := secure.Client(hung(t), ofClient, clientConfig(nil))
		require.NoError(t, err)
		host := await(t, served)
		require.NoError(t, host.err)
		assert.True(t, client.PeerKey().Equal(hostKey.Public()))
		assert.True(t, host.conn.PeerKey().Equal(clientKey.Public()))
		assert.Equal(t, client.HandshakeHash(), host.conn.HandshakeHash())
		assert.Len(t, client.HandshakeHash(), 64)

		for _, n := range []int{0, 1, 100_000, 3 << 20} {
			body := make([]byte, n)
			sent := make(chan error)
			go func() {
				err := client.Send(hung(t), body)
				if err == nil {
					err = client.Flush(hung(t))
				}
				sent <- err
			}()
			got, err := host.conn.Receive(hung(t))
			require.NoError(t, err)
			require.Len(t, got, n)
			require.NoError(t, await(t, sent))
		}
		_, err = secure.Client(hung(t), client, clientConfig(nil)) // takes it over
		require.ErrorIs(t, err, transport.ErrConfig)
		_, err = host.conn.Receive(hung(t))
		require.Error(t, err)
		require.NoError(t, host.conn.Close())
		require.NoError(t, l.Close())
	}
}

// TestOverPlainConnectionRefuses: both plain connections are closed.
func TestOverPlainConnectionRefuses(t *testing.T) {
	w := newWorld(t)
	connect := func(most int) (ofClient, ofHost *transport.Conn) {
		cfg := &transport.Config{Folder: w.folder, MaxMessageSize: most}
		l, err := transport.Listen(w.endpoint, cfg)
		require.NoError(t, err)
		defer l.Close()
		ofClient, err = transport.Dial(hung(t), w.endpoint, cfg)
		require.NoError(t, err)
		ofHost, err = l.Accept(hung(t))
		require.NoError(t, err)
		return ofClient, ofHost
	}
	ofClient, ofHost := connect(0)
	served := make(chan error)
	go func() {
		_, err := secure.Server(hung(t), ofHost, hostConfig(nil))
		served <- err
	}()
	_, err := secure.Client(hung(t), ofClient, clientConfig(nil, func(c *secure.Config) { c.Trust = keys.Pin(otherKey.Public()) }))
	require.ErrorIs(t, err, keys.ErrUntrusted)
	require.ErrorIs(t, await(t, served), secure.ErrHandshake)
	require.ErrorIs(t, ofClient.Send(hung(t), nil), transport.ErrClosed)
	require.ErrorIs(t, ofHost.Send(hung(t), nil), transport.ErrClosed)

	ofClient, ofHost = connect(1000)
	_, err = secure.Client(hung(t), ofClient, clientConfig(nil))
	require.ErrorIs(t, err, transport.ErrConfig)
	_, err = secure.Server(hung(t), ofHost, &secure.Config{})
	require.ErrorIs(t, err, transport.ErrConfig)
	require.ErrorIs(t, ofHost.Send(hung(t), nil), transport.ErrClosed)
}
