package handshake_test

import (
	"crypto/rand"
	"testing"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/handshake"
)

// The figures are for both sides of one handshake. XX and XXHybrid are to be read
// against XXFlynn of the same run.

func BenchmarkXX(b *testing.B)       { benchmark(b, variant{"XX", handshake.XX, true, false}) }
func BenchmarkXXHybrid(b *testing.B) { benchmark(b, variant{"XX", handshake.XX, false, false}) }
func BenchmarkIK(b *testing.B)       { benchmark(b, variant{"IK", handshake.IK, true, false}) }
func BenchmarkIKHybrid(b *testing.B) { benchmark(b, variant{"IK", handshake.IK, false, false}) }
func BenchmarkNK(b *testing.B)       { benchmark(b, variant{"NK", handshake.NK, true, false}) }
func BenchmarkNKHybrid(b *testing.B) { benchmark(b, variant{"NK", handshake.NK, false, false}) }
func BenchmarkNN(b *testing.B)       { benchmark(b, variant{"NN", handshake.NN, false, true}) }

func benchmark(b *testing.B, v variant) {
	c, h := v.configs()
	b.ReportAllocs()
	for b.Loop() {
		client, host := pair(b, c, h)
		o := run(client, host, nil)
		if o.clientErr != nil || o.hostErr != nil || !client.Done() || !host.Done() {
			b.Fatal(o.clientErr, o.hostErr)
		}
	}
}

// BenchmarkXXFlynn is flynn/noise as it comes, with its own DH, on the same
// prologue and payloads.
func BenchmarkXXFlynn(b *testing.B) {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2b)
	static := func() noise.DHKey {
		k, err := suite.GenerateKeypair(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	config := noise.Config{CipherSuite: suite, Pattern: noise.HandshakeXX, Prologue: make([]byte, 100)}
	c, h := config, config
	c.Initiator, c.StaticKeypair, h.StaticKeypair = true, static(), static()
	b.ReportAllocs()
	for b.Loop() {
		client, err := noise.NewHandshakeState(c)
		if err != nil {
			b.Fatal(err)
		}
		host, err := noise.NewHandshakeState(h)
		if err != nil {
			b.Fatal(err)
		}
		var sealed *noise.CipherState
		for from, to := client, host; sealed == nil; from, to = to, from {
			message, _, _, err := from.WriteMessage(nil, make([]byte, 12))
			if err != nil {
				b.Fatal(err)
			}
			if _, sealed, _, err = to.ReadMessage(nil, message); err != nil {
				b.Fatal(err)
			}
		}
	}
}
