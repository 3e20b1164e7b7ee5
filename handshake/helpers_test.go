package handshake_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// variant is one handshake that this package can do.
type variant struct {
	name      string
	pattern   handshake.Pattern
	classical bool
	psk       bool
}

// variants are all of them: XX, IK, NK with and without each of the hybrid and a
// PSK, and NN.
var variants = func() (all []variant) {
	for _, p := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK} {
		all = append(all,
			variant{p.String() + "_hybrid", p, false, false},
			variant{p.String() + "_hybrid_psk", p, false, true},
			variant{p.String() + "_classical", p, true, false},
			variant{p.String() + "_classical_psk", p, true, true})
	}
	return append(all, variant{"NN_psk", handshake.NN, false, true})
}()

func (v variant) messages() int {
	if v.pattern == handshake.XX {
		return 3
	}
	return 2
}

// Keys that are made once: tests that want others make their own.
var (
	clientKey = keys.Generate()
	hostKey   = keys.Generate()
	nextKey   = keys.Generate()
	otherKey  = keys.Generate()
	sharedPSK = keys.GeneratePreshared()
)

var (
	clientLimits = handshake.Limits{MaxRecord: 0x01020304, MaxMessage: 0x1112131415161718}
	hostLimits   = handshake.Limits{MaxRecord: 0x21222324, MaxMessage: 0x3132333435363738}
)

func accept(keys.PublicKey, []byte) error { return nil }

// configs returns what an honest client and host bring to a variant.
func (v variant) configs() (client, host handshake.Config) {
	common := handshake.Config{
		Pattern:           v.pattern,
		Classical:         v.classical,
		Endpoint:          "com.example.greeter",
		InitiatorIdentity: []byte("client process"),
		ResponderIdentity: []byte("host process"),
		Binding:           []byte("outer channel"),
	}
	if v.psk {
		common.PSK = sharedPSK
	}
	client, host = common, common
	client.Role, host.Role = handshake.Initiator, handshake.Responder
	client.Limits, host.Limits = clientLimits, hostLimits
	switch v.pattern {
	case handshake.XX:
		client.Key, client.VerifyPeer = clientKey, accept
		host.Key, host.VerifyPeer = hostKey, accept
	case handshake.IK:
		client.Key, client.VerifyPeer, client.PeerStatic = clientKey, accept, hostKey.Public()
		host.Key, host.VerifyPeer = hostKey, accept
	case handshake.NK:
		client.VerifyPeer, client.PeerStatic = accept, hostKey.Public()
		host.Key = hostKey
	}
	return client, host
}

// states makes an honest pair.
func (v variant) states(t testing.TB) (client, host *handshake.State) {
	t.Helper()
	c, h := v.configs()
	return pair(t, c, h)
}

func pair(t testing.TB, c, h handshake.Config) (client, host *handshake.State) {
	t.Helper()
	client, err := handshake.New(c)
	require.NoError(t, err)
	host, err = handshake.New(h)
	require.NoError(t, err)
	return client, host
}

// outcome is how a handshake between two states ended.
type outcome struct {
	transcript [][]byte // the messages as they were written
	clientErr  error
	hostErr    error
}

// run lets two states talk until one fails or both are done. change, which may be
// nil, gets message i (from 0) and returns what arrives instead.
func run(client, host *handshake.State, change func(i int, message []byte) []byte) (o outcome) {
	for i := 0; ; i++ {
		from, to, fromErr, toErr := client, host, &o.clientErr, &o.hostErr
		if i%2 == 1 {
			from, to, fromErr, toErr = host, client, &o.hostErr, &o.clientErr
		}
		if !from.Writes() {
			return o
		}
		message, err := from.WriteMessage(nil, nil)
		if err != nil {
			*fromErr = err
			return o
		}
		o.transcript = append(o.transcript, bytes.Clone(message))
		if change != nil {
			message = change(i, message)
		}
		if _, err := to.ReadMessage(message); err != nil {
			*toErr = err
			return o
		}
	}
}

// requireAgreed checks that both sides completed with the same keys and hash.
func requireAgreed(t testing.TB, client, host *handshake.State) (c, h *handshake.Result) {
	t.Helper()
	require.True(t, client.Done())
	require.True(t, host.Done())
	c, err := client.Result()
	require.NoError(t, err)
	h, err = host.Result()
	require.NoError(t, err)
	require.Equal(t, c.Hash(), h.Hash())
	require.Equal(t, c.Offer(), h.Offer())
	var cs, cr, hs, hr [handshake.KeySize]byte
	c.TakeKeys(&cs, &cr)
	h.TakeKeys(&hs, &hr)
	require.Equal(t, cs, hr)
	require.Equal(t, cr, hs)
	require.NotEqual(t, cs, cr)
	require.NotEqual(t, [handshake.KeySize]byte{}, cs)
	return c, h
}

// requireFailed checks that err is an error of this package and final in s.
func requireFailed(t testing.TB, s *handshake.State, err error) {
	t.Helper()
	require.ErrorIs(t, err, handshake.ErrHandshake)
	_, again := s.ReadMessage(nil)
	require.Same(t, err, again)
	_, again = s.WriteMessage(nil, nil)
	require.Same(t, err, again)
	_, again = s.Result()
	require.Same(t, err, again)
	require.False(t, s.Done())
	require.False(t, s.Writes())
}
