package handshake_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// fixedKey is a private key of one repeated byte.
func fixedKey(t testing.TB, b byte) keys.PrivateKey {
	t.Helper()
	k, err := keys.NewPrivateKey(bytes.Repeat([]byte{b}, keys.PrivateKeySize))
	require.NoError(t, err)
	return k
}

// encapsulateFixed is ML-KEM's encapsulation with a fixed message (FIPS 203 §6.2).
func encapsulateFixed(t testing.TB, b byte) func(*mlkem.EncapsulationKey768) (shared, ciphertext []byte) {
	return func(key *mlkem.EncapsulationKey768) ([]byte, []byte) {
		shared, ciphertext, err := mlkemtest.Encapsulate768(key, bytes.Repeat([]byte{b}, 32))
		require.NoError(t, err)
		return shared, ciphertext
	}
}

// fix takes all chance out of a pair of states.
func fix(t testing.TB, client, host *handshake.State) {
	t.Helper()
	client.Fix(fixedKey(t, 0xe1), bytes.Repeat([]byte{0xd1}, mlkem.SeedSize), nil)
	host.Fix(fixedKey(t, 0xe2), nil, encapsulateFixed(t, 0xc2))
}

// fixedStates is an honest pair that always makes the same messages.
func (v variant) fixedStates(t testing.TB) (client, host *handshake.State) {
	t.Helper()
	client, host = v.states(t)
	fix(t, client, host)
	return client, host
}
