package secure_test

import (
	"path/filepath"
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

// TestInProcessChecks what a handshake would: pattern, pre-shared key, and both keys.
func TestInProcessChecks(t *testing.T) {
	another := keys.GeneratePreshared()
	pattern := func(p handshake.Pattern, changes ...func(*secure.Config)) func(client bool) *secure.Config {
		return func(isClient bool) *secure.Config {
			client, host := configsOf(p)
			c := host
			if isClient {
				c = client
			}
			for _, change := range changes {
				change(c)
			}
			return c
		}
	}
	preshared := func(p keys.PresharedKey) func(*secure.Config) {
		return func(c *secure.Config) { c.PSK = p }
	}
	pin := func(k ...keys.PrivateKey) func(*secure.Config) {
		return func(c *secure.Config) {
			var public []keys.PublicKey
			for _, k := range k {
				public = append(public, k.Public())
			}
			c.Trust = keys.Pin(public...)
		}
	}
	anonymous := func(c *secure.Config) { c.AllowAnonymous = true }
	rotates := func(c *secure.Config) { c.NextKey = otherKey }
	allow := func(c *secure.Config) { c.Trust = keys.Allow(hostKey.Public(), otherKey.Public()) }
	none := keys.PrivateKey{}
	const xx, ik, nk, nn = handshake.XX, handshake.IK, handshake.NK, handshake.NN
	for name, row := range map[string]struct {
		client, host   func(client bool) *secure.Config
		err            error
		asHost, asPeer keys.PrivateKey // what the other side has shown
	}{
		"XX":                            {pattern(xx), pattern(xx), nil, hostKey, clientKey},
		"IK":                            {pattern(ik), pattern(ik), nil, hostKey, clientKey},
		"NK":                            {pattern(nk), pattern(nk), nil, hostKey, none},
		"NN":                            {pattern(nn), pattern(nn), nil, none, none},
		"NN, another PSK":               {pattern(nn), pattern(nn, preshared(another)), handshake.ErrAuthentication, none, none},
		"IK, XX":                        {pattern(ik), pattern(xx), handshake.ErrOffer, none, none},
		"XX, IK":                        {pattern(xx), pattern(ik), handshake.ErrOffer, none, none},
		"XX, NK":                        {pattern(xx), pattern(nk), handshake.ErrOffer, none, none},
		"NK, XX":                        {pattern(nk), pattern(xx), handshake.ErrOffer, none, none},
		"IK, XX with anonymous":         {pattern(ik), pattern(xx, anonymous), handshake.ErrOffer, none, none},
		"NK, XX with anonymous":         {pattern(nk), pattern(xx, anonymous), nil, hostKey, none},
		"a PSK":                         {pattern(xx, preshared(psk)), pattern(xx, preshared(psk)), nil, hostKey, clientKey},
		"the host's PSK":                {pattern(xx), pattern(xx, preshared(psk)), handshake.ErrAuthentication, none, none},
		"the client's PSK":              {pattern(xx, preshared(psk)), pattern(xx), handshake.ErrAuthentication, none, none},
		"the next key":                  {pattern(xx, pin(otherKey)), pattern(xx, rotates), nil, otherKey, clientKey},
		"the next key first":            {pattern(xx, pin(otherKey, hostKey)), pattern(xx, rotates), nil, otherKey, clientKey},
		"the next key second":           {pattern(xx, pin(hostKey, otherKey)), pattern(xx, rotates), nil, hostKey, clientKey},
		"any, where there is a next":    {pattern(xx, allow), pattern(xx, rotates), nil, hostKey, clientKey},
		"neither key":                   {pattern(xx, pin(clientKey)), pattern(xx, rotates), keys.ErrUntrusted, none, none},
		"a client that is not accepted": {pattern(xx, keyed(otherKey)), pattern(xx), keys.ErrUntrusted, none, none},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l, err := secure.Listen(w.endpoint, w.serving(with(nil, row.host(false), []func(*secure.Config){skip})))
			require.NoError(t, err)
			defer l.Close()
			client, err := secure.Dial(hung(t), w.endpoint, w.in(with(nil, row.client(true), []func(*secure.Config){skip})))
			if row.err != nil {
				require.ErrorIs(t, err, secure.ErrHandshake)
				require.ErrorIs(t, err, row.err)
				require.ErrorIs(t, await(t, w.failures), row.err)
				return
			}
			require.NoError(t, err)
			defer client.Close()
			host, err := l.Accept(hung(t))
			require.NoError(t, err)
			defer host.Close()
			require.Empty(t, client.HandshakeHash(), "else there was a handshake")
			public := func(k keys.PrivateKey) keys.PublicKey {
				if k.IsZero() {
					return keys.PublicKey{}
				}
				return k.Public()
			}
			require.Equal(t, public(row.asHost), client.PeerKey())
			require.Equal(t, public(row.asPeer), host.PeerKey())
		})
	}
}

// TestInProcessFirstUse is remembered, if everything else is right, and else there is no
// connection.
func TestInProcessFirstUse(t *testing.T) {
	w := newWorld(t)
	known, err := keys.TrustOnFirstUse(filepath.Join(t.TempDir(), "hosts"))
	require.NoError(t, err)
	first := func(c *secure.Config) { c.Trust = known }
	h := w.echo(t, hostConfig(nil, skip, func(c *secure.Config) { c.NextKey = otherKey }))
	_, err = w.talk(t, clientConfig(nil, skip, first, keyed(otherKey)))
	require.ErrorIs(t, err, keys.ErrUntrusted, "the host does not accept the client")
	require.Empty(t, known.Expected(w.endpoint))
	_, err = w.talk(t, clientConfig(nil, skip, func(c *secure.Config) { c.Trust = forgetful{known} }))
	require.ErrorIs(t, err, errFull)
	w.accepted(t, clientConfig(nil, skip, first))
	require.Equal(t, []keys.PublicKey{hostKey.Public()}, known.Expected(w.endpoint))
	require.NoError(t, h.Close())
}
