package handshake_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

func TestBothSidesAgree(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			o := run(client, host, nil)
			require.NoError(t, o.clientErr)
			require.NoError(t, o.hostErr)
			require.Len(t, o.transcript, v.messages())
			c, h := requireAgreed(t, client, host)

			hostSeen, ok := c.PeerStatic()
			require.Equal(t, v.pattern != handshake.NN, ok)
			if ok {
				require.True(t, hostSeen.Equal(hostKey.Public()))
			}
			clientSeen, ok := h.PeerStatic()
			require.Equal(t, v.pattern == handshake.XX || v.pattern == handshake.IK, ok)
			if ok {
				require.True(t, clientSeen.Equal(clientKey.Public()))
			}
			local, ok := h.LocalStatic()
			require.Equal(t, v.pattern != handshake.NN, ok)
			require.Equal(t, hostSeen, local)
			require.Equal(t, hostLimits, c.PeerLimits())
			require.Equal(t, clientLimits, h.PeerLimits())
			require.Equal(t, v.psk, c.Offer().PSK)
			require.Equal(t, !v.classical && v.pattern != handshake.NN, c.Offer().Hybrid)

			// The next one shares nothing with this one.
			client, host = v.states(t)
			run(client, host, nil)
			c2, _ := requireAgreed(t, client, host)
			require.NotEqual(t, c.Hash(), c2.Hash())
		})
	}
}

// TestPayloads sends the largest payload in every message that may have one.
func TestPayloads(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			for i := range v.messages() {
				from, to := client, host
				if i%2 == 1 {
					from, to = host, client
				}
				payload := bytes.Repeat([]byte{byte(i + 1)}, handshake.MaxPayload)
				if v.pattern == handshake.XX && i == 0 {
					payload = []byte{}
				}
				message, err := from.WriteMessage([]byte("dst"), payload)
				require.NoError(t, err)
				require.Equal(t, "dst", string(message[:3]))
				message = message[3:]
				require.LessOrEqual(t, len(message), handshake.MaxMessageSize)
				if len(payload) > 0 {
					require.False(t, bytes.Contains(message, payload[:16]), "payload in the clear")
				}
				got, err := to.ReadMessage(message)
				require.NoError(t, err)
				require.Equal(t, string(payload), string(got))
			}
			requireAgreed(t, client, host)
		})
	}
}

func TestWriteMessageRefusesPayload(t *testing.T) {
	xx := variant{"", handshake.XX, false, false}
	client, _ := xx.states(t)
	_, err := client.WriteMessage(nil, []byte{1})
	require.ErrorIs(t, err, handshake.ErrPayload, "the first message of XX protects nothing")
	requireFailed(t, client, err)

	for _, v := range variants {
		client, host := v.states(t)
		if v.pattern == handshake.XX {
			message, err := client.WriteMessage(nil, nil)
			require.NoError(t, err)
			_, err = host.ReadMessage(message)
			require.NoError(t, err)
			client = host
		}
		_, err := client.WriteMessage(nil, make([]byte, handshake.MaxPayload+1))
		require.ErrorIs(t, err, handshake.ErrPayload)
		requireFailed(t, client, err)
	}
}

func TestOutOfTurn(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			_, err := host.WriteMessage(nil, nil)
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, host, err)
			_, err = client.ReadMessage(make([]byte, 64))
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, client, err)

			client, _ = v.states(t)
			_, err = client.WriteMessage(nil, nil)
			require.NoError(t, err)
			_, err = client.WriteMessage(nil, nil)
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, client, err)

			client, _ = v.states(t)
			_, err = client.Result()
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, client, err)

			// After the end there is nothing to write or read, and an attempt
			// loses the keys that were not yet taken.
			client, host = v.states(t)
			run(client, host, nil)
			result, err := host.Result()
			require.NoError(t, err)
			_, err = host.ReadMessage(make([]byte, 64))
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, host, err)
			var send, receive [handshake.KeySize]byte
			require.Panics(t, func() { result.TakeKeys(&send, &receive) })
			_, err = client.WriteMessage(nil, nil)
			require.ErrorIs(t, err, handshake.ErrOrder)
			requireFailed(t, client, err)
		})
	}
}

func TestClose(t *testing.T) {
	v := variants[0]
	client, host := v.states(t)
	run(client, host, nil)
	result, err := client.Result()
	require.NoError(t, err)
	client.Close()
	client.Close()
	_, err = client.Result()
	require.ErrorIs(t, err, handshake.ErrOrder)
	var send, receive [handshake.KeySize]byte
	require.Panics(t, func() { result.TakeKeys(&send, &receive) }, "Close clears keys that were not taken")

	result, err = host.Result()
	require.NoError(t, err)
	result.TakeKeys(&send, &receive)
	require.Panics(t, func() { result.TakeKeys(&send, &receive) }, "a second time")
	host.Close()
	require.NotEqual(t, [handshake.KeySize]byte{}, send, "taken keys are the caller's")
	result.Wipe()

	client, _ = v.states(t)
	client.Close()
	_, err = client.WriteMessage(nil, nil)
	require.ErrorIs(t, err, handshake.ErrOrder)
}

// TestNewCopiesConfig changes what the caller owns after New.
func TestNewCopiesConfig(t *testing.T) {
	v := variant{"", handshake.XX, true, true}
	c, h := v.configs()
	c.InitiatorIdentity, c.ResponderIdentity, c.Binding =
		bytes.Clone(c.InitiatorIdentity), bytes.Clone(c.ResponderIdentity), bytes.Clone(c.Binding)
	client, host := pair(t, c, h)
	clear(c.InitiatorIdentity)
	clear(c.ResponderIdentity)
	clear(c.Binding)
	o := run(client, host, nil)
	require.NoError(t, o.clientErr)
	require.NoError(t, o.hostErr)
	requireAgreed(t, client, host)
}

func TestConfigIsChecked(t *testing.T) {
	xx, ik, nk, nn := variant{"", handshake.XX, false, false}, variant{"", handshake.IK, false, false},
		variant{"", handshake.NK, false, false}, variant{"", handshake.NN, false, true}
	none, noKey := keys.PrivateKey{}, keys.PublicKey{}
	for _, tc := range []struct {
		name   string
		v      variant
		client bool
		change func(c *handshake.Config)
	}{
		{"no role", xx, true, func(c *handshake.Config) { c.Role = 0 }},
		{"unknown role", xx, true, func(c *handshake.Config) { c.Role = 3 }},
		{"unknown pattern", xx, true, func(c *handshake.Config) { c.Pattern = 4 }},
		{"XX without key", xx, true, func(c *handshake.Config) { c.Key = none }},
		{"XX host without key", xx, false, func(c *handshake.Config) { c.Key = none }},
		{"IK without key", ik, true, func(c *handshake.Config) { c.Key = none }},
		{"NK host without key", nk, false, func(c *handshake.Config) { c.Key = none }},
		{"NK client with key", nk, true, func(c *handshake.Config) { c.Key = clientKey }},
		{"NN with key", nn, false, func(c *handshake.Config) { c.Key = hostKey }},
		{"next key of a client", xx, true, func(c *handshake.Config) { c.NextKey = nextKey }},
		{"next key only", nn, false, func(c *handshake.Config) { c.NextKey = nextKey }},
		{"IK without peer", ik, true, func(c *handshake.Config) { c.PeerStatic = noKey }},
		{"NK without peer", nk, true, func(c *handshake.Config) { c.PeerStatic = noKey }},
		{"host that knows its client", xx, false, func(c *handshake.Config) { c.PeerStatic = clientKey.Public() }},
		{"NN with peer", nn, true, func(c *handshake.Config) { c.PeerStatic = hostKey.Public() }},
		{"XX client without VerifyPeer", xx, true, func(c *handshake.Config) { c.VerifyPeer = nil }},
		{"XX host without VerifyPeer", xx, false, func(c *handshake.Config) { c.VerifyPeer = nil }},
		{"IK host without VerifyPeer", ik, false, func(c *handshake.Config) { c.VerifyPeer = nil }},
		{"NK client without VerifyPeer", nk, true, func(c *handshake.Config) { c.VerifyPeer = nil }},
		{"NK host would verify", nk, false, func(c *handshake.Config) { c.VerifyPeer = accept }},
		{"NN would verify", nn, true, func(c *handshake.Config) { c.VerifyPeer = accept }},
		{"NN without PSK", nn, true, func(c *handshake.Config) { c.PSK = keys.PresharedKey{} }},
		{"no endpoint", xx, true, func(c *handshake.Config) { c.Endpoint = "" }},
		{"long endpoint", xx, true, func(c *handshake.Config) { c.Endpoint = string(make([]byte, handshake.MaxEndpoint+1)) }},
		{"no initiator", xx, false, func(c *handshake.Config) { c.InitiatorIdentity = nil }},
		{"no responder", xx, true, func(c *handshake.Config) { c.ResponderIdentity = []byte{} }},
		{"long initiator", xx, true, func(c *handshake.Config) { c.InitiatorIdentity = make([]byte, handshake.MaxIdentity+1) }},
		{"long responder", xx, true, func(c *handshake.Config) { c.ResponderIdentity = make([]byte, handshake.MaxIdentity+1) }},
		{"long binding", xx, true, func(c *handshake.Config) { c.Binding = make([]byte, handshake.MaxBinding+1) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, h := tc.v.configs()
			if !tc.client {
				c = h
			}
			_, err := handshake.New(c)
			require.NoError(t, err)
			tc.change(&c)
			s, err := handshake.New(c)
			require.ErrorIs(t, err, handshake.ErrConfig)
			require.ErrorIs(t, err, handshake.ErrHandshake)
			require.Nil(t, s)
		})
	}
}
