package handshake_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// TestRelayIsRefused has a process in the middle: the client believes to talk to
// it, it has a connection of its own to the host, and it forwards every byte of
// the handshake as it is. Nothing but the kernel identities tells it apart.
func TestRelayIsRefused(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			c, h := v.configs()
			c.InitiatorIdentity, c.ResponderIdentity = []byte("client"), []byte("middle")
			h.InitiatorIdentity, h.ResponderIdentity = []byte("middle"), []byte("host")
			client, host := pair(t, c, h)
			o := run(client, host, nil)
			requireRefused(t, client, host, o, "relay")
			require.ErrorIs(t, errorOf(o), handshake.ErrAuthentication)

			// The same without the man in the middle goes through.
			c.ResponderIdentity, h.InitiatorIdentity = h.ResponderIdentity, c.InitiatorIdentity
			client, host = pair(t, c, h)
			o = run(client, host, nil)
			require.NoError(t, errorOf(o))
			requireAgreed(t, client, host)
		})
	}
}

func errorOf(o outcome) error {
	if o.clientErr != nil {
		return o.clientErr
	}
	return o.hostErr
}

// TestDisagreementIsRefused lets the sides differ in one thing at a time.
func TestDisagreementIsRefused(t *testing.T) {
	otherPSK := keys.GeneratePreshared()
	for _, v := range variants {
		for _, tc := range []struct {
			name   string
			change func(c *handshake.Config)
			want   error
		}{
			{"endpoint", func(c *handshake.Config) { c.Endpoint = "com.example.greeter2" }, handshake.ErrAuthentication},
			{"initiator's identity", func(c *handshake.Config) { c.InitiatorIdentity = []byte("x") }, handshake.ErrAuthentication},
			{"responder's identity", func(c *handshake.Config) { c.ResponderIdentity = []byte("x") }, handshake.ErrAuthentication},
			{"identities moved", func(c *handshake.Config) {
				c.InitiatorIdentity, c.ResponderIdentity = []byte("client processh"), []byte("ost process")
			}, handshake.ErrAuthentication},
			{"endpoint and identity moved", func(c *handshake.Config) {
				c.Endpoint, c.InitiatorIdentity = "com.example.greeterc", []byte("lient process")
			}, handshake.ErrAuthentication},
			{"binding", func(c *handshake.Config) { c.Binding = nil }, handshake.ErrAuthentication},
			{"PSK", func(c *handshake.Config) {
				if !c.PSK.IsZero() {
					c.PSK = otherPSK
				} else {
					c.PSK, c.Endpoint = otherPSK, "com.example.greeter"
				}
			}, map[bool]error{true: handshake.ErrAuthentication, false: handshake.ErrOffer}[v.psk]},
			{"hybrid", func(c *handshake.Config) {
				if c.Pattern == handshake.NN {
					c.Endpoint = "other" // NN has no hybrid to disagree about
				}
				c.Classical = !c.Classical
			}, map[bool]error{true: handshake.ErrAuthentication, false: handshake.ErrOffer}[v.pattern == handshake.NN]},
		} {
			for _, side := range []string{"client", "host"} {
				t.Run(v.name+"/"+tc.name+"/"+side, func(t *testing.T) {
					c, h := v.configs()
					if side == "client" {
						tc.change(&c)
					} else {
						tc.change(&h)
					}
					client, host := pair(t, c, h)
					o := run(client, host, nil)
					requireRefused(t, client, host, o, tc.name)
					require.ErrorIs(t, errorOf(o), tc.want)
				})
			}
		}
	}
}

// TestOtherPatternIsRefused pairs every variant with every other one.
func TestOtherPatternIsRefused(t *testing.T) {
	for _, v := range variants {
		for _, w := range variants {
			if v == w {
				continue
			}
			c, _ := v.configs()
			_, h := w.configs()
			client, host := pair(t, c, h)
			o := run(client, host, nil)
			requireFailed(t, host, o.hostErr)
			require.ErrorIs(t, o.hostErr, handshake.ErrOffer, "%s to %s", v.name, w.name)
			var detail *handshake.OfferError
			require.ErrorAs(t, o.hostErr, &detail)
			require.Equal(t, v.pattern, detail.Got.Pattern)
			require.Equal(t, w.pattern, detail.Want.Pattern)
		}
	}
}

func TestOtherVersionIsRefused(t *testing.T) {
	for _, v := range variants {
		for _, version := range []byte{0, 2, 255} {
			client, host := v.states(t)
			o := run(client, host, func(i int, m []byte) []byte {
				if i == 0 {
					require.EqualValues(t, handshake.Version, m[0])
					m[0] = version
				}
				return m
			})
			requireFailed(t, host, o.hostErr)
			require.ErrorIs(t, o.hostErr, handshake.ErrVersion)
		}
	}
}

// TestDowngradeIsRefused has an attacker in the middle who turns the offer of a
// hybrid into one without, for a host that would serve that.
func TestDowngradeIsRefused(t *testing.T) {
	for _, v := range variants {
		if v.classical || v.pattern == handshake.NN {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			c, h := v.configs()
			h.Classical = true
			client, host := pair(t, c, h)
			o := run(client, host, func(i int, m []byte) []byte {
				if i > 0 {
					return m
				}
				m[2] &^= 1 // the flag "hybrid"
				if v.pattern == handshake.XX && !v.psk {
					return m[:8+32] // the offer and e, as a classical client has it
				}
				// With an encrypted payload the key cannot be cut out
				// of it, but a tag of the right size can be kept.
				return append(m[:8+32:8+32], m[len(m)-map[handshake.Pattern]int{handshake.XX: 16, handshake.IK: 48 + 12 + 16, handshake.NK: 12 + 16}[v.pattern]:]...)
			})
			requireRefused(t, client, host, o, "downgrade")
			require.NotErrorIs(t, errorOf(o), handshake.ErrOffer, "the host saw the offer that it serves")
		})
	}
}

// TestImpossibleKeysAreRefused sends points of small order and second spellings
// as ephemeral keys, and an ML-KEM key that is not reduced.
func TestImpossibleKeysAreRefused(t *testing.T) {
	lowOrder := make([]byte, 32)
	one := append([]byte{1}, make([]byte, 31)...)
	notReduced := append([]byte{0xed + 9}, bytes.Repeat([]byte{0xff}, 30)...)
	notReduced = append(notReduced, 0x7f) // the base point, spelt p+9
	for _, v := range variants {
		for name, key := range map[string][]byte{"zero": lowOrder, "one": one, "not reduced": notReduced} {
			for i := range 2 {
				client, host := v.states(t)
				o := run(client, host, func(j int, m []byte) []byte {
					if j == i {
						at := 0
						switch {
						case i == 0:
							at = 8
						case !v.classical && (v.pattern == handshake.IK || v.pattern == handshake.NK):
							at = 1088
						}
						copy(m[at:], key)
					}
					return m
				})
				requireRefused(t, client, host, o, name)
				require.ErrorIs(t, errorOf(o), handshake.ErrPeerKey, "%s, %s, message %d", v.name, name, i+1)
			}
		}
	}
}

// TestWrongHostKeyIsRefused has a host with another key than the client knows.
func TestWrongHostKeyIsRefused(t *testing.T) {
	for _, v := range variants {
		if v.pattern != handshake.IK && v.pattern != handshake.NK {
			continue
		}
		c, h := v.configs()
		h.Key = otherKey
		client, host := pair(t, c, h)
		o := run(client, host, nil)
		requireFailed(t, host, o.hostErr)
		require.ErrorIs(t, o.hostErr, handshake.ErrUnknownKey)

		// An impostor that ignores the hint cannot read on.
		client, host = pair(t, c, h)
		hostHint := func() []byte {
			c2, _ := v.configs()
			c2.PeerStatic = otherKey.Public()
			s, err := handshake.New(c2)
			require.NoError(t, err)
			m, err := s.WriteMessage(nil, nil)
			require.NoError(t, err)
			return m[4:8]
		}()
		o = run(client, host, func(i int, m []byte) []byte {
			if i == 0 {
				copy(m[4:8], hostHint)
			}
			return m
		})
		requireFailed(t, host, o.hostErr)
		require.ErrorIs(t, o.hostErr, handshake.ErrAuthentication)
	}
}

// TestMalformedOffersAreRefused has one thing wrong in each offer.
func TestMalformedOffersAreRefused(t *testing.T) {
	for _, row := range []struct {
		name    string
		message []byte
		want    error
	}{
		{"short", []byte{1, 0, 1, 0, 0, 0, 0}, handshake.ErrMessageSize},
		{"version 2", []byte{2, 0, 1, 0, 0, 0, 0, 0}, handshake.ErrVersion},
		{"unknown pattern", []byte{1, 4, 1, 0, 0, 0, 0, 0}, handshake.ErrOffer},
		{"unknown flag", []byte{1, 0, 1 | 4, 0, 0, 0, 0, 0}, handshake.ErrOffer},
		{"reserved byte", []byte{1, 0, 1, 1, 0, 0, 0, 0}, handshake.ErrOffer},
		{"hybrid NN", []byte{1, 3, 1 | 2, 0, 0, 0, 0, 0}, handshake.ErrOffer},
		{"NN without PSK", []byte{1, 3, 0, 0, 0, 0, 0, 0}, handshake.ErrOffer},
		{"NN with hint", []byte{1, 3, 2, 0, 1, 1, 1, 1}, handshake.ErrOffer},
		{"IK without hint", []byte{1, 1, 1, 0, 0, 0, 0, 0}, handshake.ErrOffer},
		{"NK without hint", []byte{1, 2, 1, 0, 0, 0, 0, 0}, handshake.ErrOffer},
	} {
		offer, err := handshake.ReadOffer(row.message)
		require.ErrorIs(t, err, row.want, row.name)
		require.ErrorIs(t, err, handshake.ErrHandshake, row.name)
		require.Zero(t, offer, row.name)
	}
	for _, good := range [][]byte{{1, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 3, 0, 1, 1, 1, 1}, {1, 1, 1, 0, 1, 1, 1, 1}, {1, 3, 2, 0, 0, 0, 0, 0}} {
		_, err := handshake.ReadOffer(good)
		require.NoError(t, err)
	}
}
