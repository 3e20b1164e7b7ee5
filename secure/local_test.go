package secure_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
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
			c, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, change(row.client))))
			require.NoError(t, err)
			assert.True(t, c.PeerKey().Equal(hostKey.Public()))
			require.NoError(t, c.Send(hung(t), []byte("hello")))
			answer, err := c.Receive(hung(t))
			require.NoError(t, err)
			assert.Equal(t, "hello from "+clientKey.Public().String(), string(answer))
			sessions := slices.Collect(h.Sessions())
			require.Len(t, sessions, 1)
			assert.Equal(t, row.direct, len(sessions[0].HandshakeHash()) == 0, "whether there was no handshake")
			require.NoError(t, c.Close())

			if !row.direct {
				return
			}
			for why, change := range map[error]func(*secure.Config){
				keys.ErrUntrusted:           keyed(otherKey),
				handshake.ErrOffer:          func(c *secure.Config) { c.Classical = true },
				handshake.ErrAuthentication: func(c *secure.Config) { c.PSK = psk },
			} {
				_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, skip, change)))
				require.ErrorIs(t, err, secure.ErrHandshake)
				require.ErrorIs(t, err, why)
				require.ErrorIs(t, await(t, w.failures), why, "the host hears of it")
			}
			_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, skip, func(c *secure.Config) {
				c.Trust = keys.Pin(otherKey.Public())
			})))
			require.ErrorIs(t, err, keys.ErrUntrusted)
		})
	}
}
