package handshake_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/handshake"
)

// The figures are for both sides of one handshake.

func BenchmarkXX(b *testing.B)       { benchmark(b, ours(b, xxClassical)) }
func BenchmarkXXHybrid(b *testing.B) { benchmark(b, ours(b, xxHybrid)) }
func BenchmarkXXFlynn(b *testing.B)  { benchmark(b, flynns(b)) }

func BenchmarkIK(b *testing.B) { benchmark(b, ours(b, variant{"", handshake.IK, true, false})) }
func BenchmarkIKHybrid(b *testing.B) {
	benchmark(b, ours(b, variant{"", handshake.IK, false, false}))
}
func BenchmarkNK(b *testing.B) { benchmark(b, ours(b, variant{"", handshake.NK, true, false})) }
func BenchmarkNKHybrid(b *testing.B) {
	benchmark(b, ours(b, variant{"", handshake.NK, false, false}))
}
func BenchmarkNN(b *testing.B) { benchmark(b, ours(b, variant{"", handshake.NN, false, true})) }

var (
	xxClassical = variant{"", handshake.XX, true, false}
	xxHybrid    = variant{"", handshake.XX, false, false}
)

// BenchmarkAgainstFlynn takes XX, hybrid XX and flynn/noise's XX in turns, so that
// a noisy machine is as noisy for each, and reports how many times as fast as
// flynn/noise the first two are, by the median of their times.
func BenchmarkAgainstFlynn(b *testing.B) {
	runs := []func(){ours(b, xxClassical), ours(b, xxHybrid), flynns(b)}
	times := make([][]time.Duration, len(runs))
	for b.Loop() {
		for i, run := range runs {
			start := time.Now()
			run()
			times[i] = append(times[i], time.Since(start))
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return float64(times[i][len(times[i])/2])
	}
	b.ReportMetric(median(2)/median(0), "XX/flynn")
	b.ReportMetric(median(2)/median(1), "hybrid/flynn")
}

func benchmark(b *testing.B, run func()) {
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

// ours does one handshake of a variant.
func ours(b *testing.B, v variant) func() {
	c, h := v.configs()
	return func() {
		client, host := pair(b, c, h)
		o := run(client, host, nil)
		if o.clientErr != nil || o.hostErr != nil || !client.Done() || !host.Done() {
			b.Fatal(o.clientErr, o.hostErr)
		}
	}
}

// flynns does one XX of flynn/noise as it comes, with its own DH, on a prologue and
// payloads of the size of ours.
func flynns(b *testing.B) func() {
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
	return func() {
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
