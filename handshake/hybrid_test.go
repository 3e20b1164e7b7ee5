package handshake_test

import (
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"hash"
	"slices"
	"testing"

	"github.com/flynn/noise"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// byHand is the host's side of every hybrid, written from docs/HANDSHAKE.md with
// flynn/noise as it comes and HMAC, to check that the text says what the code does.
func byHand(t *testing.T, v variant, config handshake.Config, client *handshake.State) (hash []byte, fromClient, fromHost [32]byte) {
	noisePattern := map[handshake.Pattern]noise.HandshakePattern{
		handshake.XX: noise.HandshakeXX, handshake.IK: noise.HandshakeIK, handshake.NK: noise.HandshakeNK,
	}[v.pattern]
	message, err := client.WriteMessage(nil, nil)
	require.NoError(t, err)
	offer, message := message[:8], message[8:]

	static := fixedKey(t, 0xa2)
	host, err := noise.NewHandshakeState(noise.Config{
		CipherSuite:           noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2b),
		Pattern:               noisePattern,
		Prologue:              prologueByHand(offer, config),
		PresharedKeyPlacement: v.messages(),
		StaticKeypair:         noise.DHKey{Private: slices.Repeat([]byte{0xa2}, 32), Public: static.Public().Bytes()},
	})
	require.NoError(t, err)

	payload, _, _, err := host.ReadMessage(nil, message)
	require.NoError(t, err)
	kemKey := payload[:1184]
	ek, err := mlkem.NewEncapsulationKey768(kemKey)
	require.NoError(t, err)
	shared, ciphertext := ek.Encapsulate()

	// HKDF (RFC 5869): salt is the PSK or zeros, one block of output.
	salt, label := make([]byte, 32), "sealport hybrid 1 ML-KEM-768"
	if v.psk {
		salt, label = config.PSK.RevealSecretBytes(), "sealport hybrid 1 ML-KEM-768 and PSK"
	}
	mac := func(key []byte, parts ...[]byte) []byte {
		m := hmac.New(func() hashFunc { h, _ := blake2b.New512(nil); return h }, key)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	prk := mac(salt, shared)
	psk := mac(prk, []byte(label), []byte{0}, kemKey, ciphertext, []byte{1})[:32]
	require.NoError(t, host.SetPresharedKey(psk))

	limits := make([]byte, 12)
	var reply []byte
	var s1, s2 *noise.CipherState
	if v.pattern == handshake.XX {
		reply, _, _, err = host.WriteMessage(nil, slices.Concat(ciphertext, limits))
	} else {
		reply, s1, s2, err = host.WriteMessage(slices.Clone(ciphertext), limits)
	}
	require.NoError(t, err)
	_, err = client.ReadMessage(reply)
	require.NoError(t, err)
	if v.pattern == handshake.XX {
		message, err = client.WriteMessage(nil, nil)
		require.NoError(t, err)
		_, s1, s2, err = host.ReadMessage(nil, message)
		require.NoError(t, err)
	}
	return host.ChannelBinding(), s1.UnsafeKey(), s2.UnsafeKey()
}

func prologueByHand(offer []byte, config handshake.Config) []byte {
	return slices.Concat([]byte("sealport"), offer,
		[]byte{0, byte(len(config.Endpoint))}, []byte(config.Endpoint),
		[]byte{0, byte(len(config.InitiatorIdentity))}, config.InitiatorIdentity,
		[]byte{0, byte(len(config.ResponderIdentity))}, config.ResponderIdentity,
		[]byte{0, byte(len(config.Binding))}, config.Binding)
}

// hashFunc is hash.Hash, whose package a result of byHand hides.
type hashFunc = hash.Hash

func TestHybridIsAsDocumented(t *testing.T) {
	for _, v := range variants {
		if v.classical || v.pattern == handshake.NN {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			c, _ := v.configs()
			if v.pattern != handshake.XX {
				c.PeerStatic = fixedKey(t, 0xa2).Public()
			}
			client, err := handshake.New(c)
			require.NoError(t, err)
			hash, fromClient, fromHost := byHand(t, v, c, client)
			result, err := client.Result()
			require.NoError(t, err)
			got := result.Hash()
			require.Equal(t, hash, got[:])
			var send, receive [handshake.KeySize]byte
			result.TakeKeys(&send, &receive)
			require.Equal(t, fromClient, send)
			require.Equal(t, fromHost, receive)
		})
	}
}

// TestUnreducedEncapsulationKeyIsRefused: a client may send what is no ML-KEM key (FIPS 203
// §7.2), in a message that is otherwise as it should be.
func TestUnreducedEncapsulationKeyIsRefused(t *testing.T) {
	good, err := mlkem.GenerateKey768()
	require.NoError(t, err)
	bad := slices.Repeat([]byte{0xff}, mlkem.EncapsulationKeySize768)
	for _, key := range [][]byte{good.EncapsulationKey().Bytes(), bad} {
		v := variant{"", handshake.XX, false, false}
		c, h := v.configs()
		client, host := pair(t, c, h)
		message, err := client.WriteMessage(nil, nil)
		require.NoError(t, err)
		offer := message[:8]
		byHand, err := noise.NewHandshakeState(noise.Config{
			CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2b),
			Pattern:     noise.HandshakeXX, Initiator: true, Prologue: prologueByHand(offer, c),
			PresharedKeyPlacement: v.messages(),
			StaticKeypair:         noise.DHKey{Private: slices.Repeat([]byte{0xa2}, 32), Public: fixedKey(t, 0xa2).Public().Bytes()},
		})
		require.NoError(t, err)
		message, _, _, err = byHand.WriteMessage(slices.Clone(offer), key)
		require.NoError(t, err)
		if _, err = host.ReadMessage(message); &key[0] != &bad[0] {
			require.NoError(t, err, "else this shows nothing")
			continue
		}
		require.ErrorIs(t, err, handshake.ErrPeerKey)
		requireFailed(t, host, err)
	}
}

// TestKEMSecretIsMixedIn gives the host a wrong KEM secret while every byte on the
// wire stays as it is.
func TestKEMSecretIsMixedIn(t *testing.T) {
	for _, v := range variants {
		if v.classical || v.pattern == handshake.NN {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			host.FixKEM(func(key *mlkem.EncapsulationKey768) ([]byte, []byte) {
				shared, ciphertext := key.Encapsulate()
				shared[0] ^= 1
				return shared, ciphertext
			})
			o := run(client, host, nil)
			require.ErrorIs(t, errorOf(o), handshake.ErrAuthentication)
			requireRefused(t, client, host, o, "KEM secret")
		})
	}
}

// TestHybridPSKDependsOnEverything changes each input of the combination.
func TestHybridPSKDependsOnEverything(t *testing.T) {
	random := func(n int) []byte {
		b := make([]byte, n)
		_, err := rand.Read(b)
		require.NoError(t, err)
		return b
	}
	shared, user, key, ciphertext := random(32), random(32), random(1184), random(1088)
	base, err := handshake.HybridPSK(shared, user, key, ciphertext)
	require.NoError(t, err)
	require.Len(t, base, keys.PresharedKeySize)
	seen := map[string]bool{string(base): true}
	try := func(shared, user, key, ciphertext []byte) {
		psk, err := handshake.HybridPSK(shared, user, key, ciphertext)
		require.NoError(t, err)
		require.False(t, seen[string(psk)])
		seen[string(psk)] = true
	}
	try(random(32), user, key, ciphertext)
	try(shared, random(32), key, ciphertext)
	try(shared, user, random(1184), ciphertext)
	try(shared, user, key, random(1088))
	try(shared, nil, key, ciphertext)
	try(shared, make([]byte, 32), key, ciphertext) // zeros are not the same as none
	try(user, shared, key, ciphertext)             // the two secrets are not interchangeable
}
