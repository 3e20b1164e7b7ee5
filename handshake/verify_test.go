package handshake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// TestVerifyPeerIsAskedOnce checks who is asked, about whom, when, and with what.
func TestVerifyPeerIsAskedOnce(t *testing.T) {
	type call struct {
		message int // the message, from 1, in which the peer proved itself
		key     keys.PublicKey
		payload string
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			var now int
			var byClient, byHost []call
			c, h := v.configs()
			if c.VerifyPeer != nil {
				c.VerifyPeer = func(key keys.PublicKey, payload []byte) error {
					byClient = append(byClient, call{now, key, string(payload)})
					return nil
				}
			}
			if h.VerifyPeer != nil {
				h.VerifyPeer = func(key keys.PublicKey, payload []byte) error {
					byHost = append(byHost, call{now, key, string(payload)})
					return nil
				}
			}
			client, host := pair(t, c, h)
			for now = 1; now <= v.messages(); now++ {
				from, to := client, host
				if now%2 == 0 {
					from, to = host, client
				}
				var payload []byte
				if v.pattern != handshake.XX || now > 1 {
					payload = fmt.Append(nil, "payload ", now)
				}
				m, err := from.WriteMessage(nil, payload)
				require.NoError(t, err)
				_, err = to.ReadMessage(m)
				require.NoError(t, err)
			}
			aboutHost := []call{{2, hostKey.Public(), "payload 2"}}
			switch v.pattern {
			case handshake.XX:
				require.Equal(t, aboutHost, byClient)
				require.Equal(t, []call{{3, clientKey.Public(), "payload 3"}}, byHost)
			case handshake.IK:
				require.Equal(t, aboutHost, byClient)
				require.Equal(t, []call{{1, clientKey.Public(), "payload 1"}}, byHost)
			case handshake.NK:
				require.Equal(t, aboutHost, byClient)
				require.Empty(t, byHost)
			default:
				require.Empty(t, byClient)
				require.Empty(t, byHost)
			}
		})
	}
}

// refusal is an error of a caller's own.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// TestVerifyPeerRefuses also checks that a client of XX that refuses the host has
// sent nothing by which it could be known.
func TestVerifyPeerRefuses(t *testing.T) {
	refuse := func(keys.PublicKey, []byte) error { return &refusal{"not on the list"} }
	for _, v := range variants {
		for _, side := range []string{"client", "host"} {
			c, h := v.configs()
			config := &c
			if side == "host" {
				config = &h
			}
			if config.VerifyPeer == nil {
				continue
			}
			t.Run(v.name+"/"+side, func(t *testing.T) {
				config.VerifyPeer = refuse
				client, host := pair(t, c, h)
				o := run(client, host, nil)
				refuser, err := client, o.clientErr
				if side == "host" {
					refuser, err = host, o.hostErr
				}
				requireFailed(t, refuser, err)
				require.ErrorIs(t, err, handshake.ErrPeerRefused)
				var why *refusal
				require.ErrorAs(t, err, &why)
				if v.pattern == handshake.XX && side == "client" {
					require.Len(t, o.transcript, 2, "the client's key is in message 3")
				}
			})
		}
	}
}

// TestHostInRotation lets clients who know either of a host's two keys, or none,
// through to a host that has both.
func TestHostInRotation(t *testing.T) {
	for _, v := range variants {
		if v.pattern == handshake.NN {
			continue
		}
		for _, tc := range []struct {
			name   string
			known  keys.PublicKey
			shown  keys.PublicKey // zero: refused
			xxOnly bool
		}{
			{"current", hostKey.Public(), hostKey.Public(), false},
			{"next", nextKey.Public(), nextKey.Public(), false},
			{"none", keys.PublicKey{}, hostKey.Public(), true},
			{"neither", otherKey.Public(), keys.PublicKey{}, false},
		} {
			if tc.xxOnly && v.pattern != handshake.XX {
				continue
			}
			t.Run(v.name+"/"+tc.name, func(t *testing.T) {
				c, h := v.configs()
				h.NextKey = nextKey
				c.PeerStatic = tc.known
				c.VerifyPeer = func(key keys.PublicKey, _ []byte) error {
					if !tc.known.IsZero() && !key.Equal(tc.known) {
						return errors.New("not the pinned key")
					}
					return nil
				}
				client, host := pair(t, c, h)
				o := run(client, host, nil)
				if tc.shown.IsZero() {
					requireRefused(t, client, host, o, tc.name)
					want := handshake.ErrUnknownKey
					if v.pattern == handshake.XX { // the host shows what it has, and the client can say what is wrong
						want = handshake.ErrPeerRefused
					}
					require.ErrorIs(t, errorOf(o), want)
					return
				}
				require.NoError(t, errorOf(o))
				cr, hr := requireAgreed(t, client, host)
				got, _ := cr.PeerStatic()
				require.True(t, tc.shown.Equal(got))
				local, _ := hr.LocalStatic()
				require.True(t, tc.shown.Equal(local))
			})
		}
	}
}

// TestResultPrintsNoSecrets tries every way of printing.
func TestResultPrintsNoSecrets(t *testing.T) {
	client, host := variants[0].states(t)
	run(client, host, nil)
	result, err := client.Result()
	require.NoError(t, err)
	type holder struct {
		hidden *handshake.Result
		Shown  *handshake.Result
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%q", "%d", "%p", "%t"} {
		fmt.Fprintf(&out, verb+"\n", result)
		fmt.Fprintf(&out, verb+"\n", *result)
		fmt.Fprintf(&out, verb+"\n", holder{result, result})
	}
	js, err := json.Marshal(holder{result, result})
	require.NoError(t, err)
	out.Write(js)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "result", result, "holder", holder{result, result})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "result", result, "holder", holder{result, result})

	var send, receive [handshake.KeySize]byte
	result.TakeKeys(&send, &receive)
	for _, secret := range [][handshake.KeySize]byte{send, receive} {
		requireAbsent(t, out.String(), secret[:])
	}
	require.Contains(t, out.String(), hostKey.Public().Fingerprint())
}

// TestStatePrintsNoSecrets looks for the PSK and the ephemeral key, which is fixed.
func TestStatePrintsNoSecrets(t *testing.T) {
	for _, v := range variants {
		client, host := v.fixedStates(t)
		m, err := client.WriteMessage(nil, nil)
		require.NoError(t, err)
		_, err = host.ReadMessage(m)
		require.NoError(t, err)
		_, err = host.WriteMessage(nil, nil)
		require.NoError(t, err)
		type holder struct {
			hidden *handshake.State
			Shown  *handshake.State
		}
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%q", "%d", "%p"} {
			for _, s := range []*handshake.State{client, host} {
				fmt.Fprintf(&out, verb+"\n", s)
				fmt.Fprintf(&out, verb+"\n", holder{s, s})
			}
		}
		require.Contains(t, out.String(), v.pattern.String())
		requireAbsent(t, out.String(), fixedRaw(0xe1))
		requireAbsent(t, out.String(), fixedRaw(0xe2))
		requireAbsent(t, out.String(), sharedPSK.RevealSecretBytes())
	}
}

// requireAbsent looks for eight bytes of a secret in the forms in which fmt and
// encoding/json print bytes.
func requireAbsent(t *testing.T, text string, secret []byte) {
	t.Helper()
	part := secret[4:12]
	lower := strings.ToLower(text)
	for _, form := range []string{fmt.Sprintf("%x", part), strings.Trim(fmt.Sprint(part), "[]"), strings.Trim(strings.ReplaceAll(fmt.Sprint(part), " ", ","), "[]"),
		strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}")), strings.ToLower(string(part))} {
		require.NotContains(t, lower, form)
	}
}
