package handshake_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flynn/noise"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// knownNoise is a vector of testdata/noise-*.json; see the README there.
type knownNoise struct {
	Noise              string   `json:"noise"`
	Prologue           hexBytes `json:"prologue"`
	PSK                hexBytes `json:"psk"`
	InitiatorStatic    hexBytes `json:"initiator_static"`
	InitiatorEphemeral hexBytes `json:"initiator_ephemeral"`
	InitiatorKnows     hexBytes `json:"initiator_knows"`
	ResponderStatic    hexBytes `json:"responder_static"`
	ResponderEphemeral hexBytes `json:"responder_ephemeral"`
	HandshakeHash      hexBytes `json:"handshake_hash"`
	Messages           []struct {
		Payload    hexBytes `json:"payload"`
		Ciphertext hexBytes `json:"ciphertext"`
	} `json:"messages"`
}

// TestNoiseVectors runs the vectors of cacophony and snow for every Noise protocol
// that a State can speak through the layer that it is built on.
func TestNoiseVectors(t *testing.T) {
	offers := map[string]handshake.Offer{}
	for _, v := range variants {
		// The hybrid is the same Noise protocol as a PSK.
		o := handshake.Offer{Pattern: v.pattern, PSK: v.psk}
		offers[o.String()] = o
	}
	require.Len(t, offers, 7)
	for file, want := range map[string][]string{ // the protocols, without the suite
		"noise-cacophony.json": {"IK", "IKpsk2", "NK", "NKpsk2", "NNpsk0", "XX", "XXpsk3"},
		"noise-snow.json":      {"IK", "NK", "XX"},
	} {
		t.Run(file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", file))
			require.NoError(t, err)
			var vectors []knownNoise
			require.NoError(t, json.Unmarshal(content, &vectors))
			var names []string
			for _, v := range vectors {
				offer, ok := offers[v.Noise]
				require.True(t, ok, v.Noise)
				names = append(names, strings.Split(v.Noise, "_")[1])
				t.Run(v.Noise, func(t *testing.T) { v.run(t, offer) })
			}
			slices.Sort(names)
			require.Equal(t, want, names)
		})
	}
}

func (v knownNoise) run(t *testing.T, o handshake.Offer) {
	private := func(raw hexBytes) (k keys.PrivateKey) {
		if raw != nil {
			var err error
			k, err = keys.NewPrivateKey(raw)
			require.NoError(t, err)
		}
		return k
	}
	var known keys.PublicKey
	if v.InitiatorKnows != nil {
		var err error
		known, err = keys.NewPublicKey(v.InitiatorKnows)
		require.NoError(t, err)
	}
	client, err := handshake.NewNoise(o, true, v.Prologue, private(v.InitiatorStatic), private(v.InitiatorEphemeral), known, v.PSK)
	require.NoError(t, err)
	host, err := handshake.NewNoise(o, false, v.Prologue, private(v.ResponderStatic), private(v.ResponderEphemeral), keys.PublicKey{}, v.PSK)
	require.NoError(t, err)

	handshakeMessages := 2
	if o.Pattern == handshake.XX {
		handshakeMessages = 3
	}
	require.Greater(t, len(v.Messages), handshakeMessages)
	var fromClient, fromHost, toClient, toHost *noise.CipherState
	for i, m := range v.Messages {
		clients := i%2 == 0
		if i < handshakeMessages {
			from, to := client, host
			if !clients {
				from, to = host, client
			}
			out, s1, s2, err := from.WriteMessage(nil, m.Payload)
			require.NoError(t, err)
			require.Equal(t, []byte(m.Ciphertext), out, "message %d", i+1)
			in, r1, r2, err := to.ReadMessage(nil, out)
			require.NoError(t, err)
			require.Equal(t, []byte(m.Payload), in)
			if clients {
				fromClient, toClient, toHost, fromHost = s1, s2, r1, r2
			} else {
				fromClient, toClient, toHost, fromHost = r1, r2, s1, s2
			}
			continue
		}
		seal, open := fromClient, toHost
		if !clients {
			seal, open = fromHost, toClient
		}
		out, err := seal.Encrypt(nil, nil, m.Payload)
		require.NoError(t, err)
		require.Equal(t, []byte(m.Ciphertext), out, "message %d", i+1)
		in, err := open.Decrypt(nil, nil, out)
		require.NoError(t, err)
		require.Equal(t, []byte(m.Payload), in)
	}
	require.Equal(t, client.ChannelBinding(), host.ChannelBinding())
	if v.HandshakeHash != nil { // snow has none
		require.Equal(t, []byte(v.HandshakeHash), client.ChannelBinding())
	}
}

// wycheproof reads a file of testdata, in which a line is one case. The first two
// columns are its number and Wycheproof's result.
func wycheproof(t *testing.T, name string, columns int, run func(t *testing.T, result string, columns []string)) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		require.Len(t, fields, 2+columns)
		t.Run(fields[0], func(t *testing.T) { run(t, fields[1], fields[2:]) })
	}
}

// unhex returns the bytes of a column, in which "-" is nothing.
func unhex(t *testing.T, column string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.TrimPrefix(column, "-"))
	require.NoError(t, err)
	return raw
}

// TestWycheproofX25519 runs Wycheproof's cases through the DH of a State. We refuse
// more than RFC 7748 asks for: second encodings of a point, and points of small
// order by name.
func TestWycheproofX25519(t *testing.T) {
	var agreed, refused int
	wycheproof(t, "x25519-wycheproof.txt", 4, func(t *testing.T, result string, c []string) {
		flags, private, public, want := c[0], unhex(t, c[1]), unhex(t, c[2]), unhex(t, c[3])
		k, err := keys.NewPrivateKey(private)
		require.NoError(t, err)
		shared, err := handshake.DH(k, public)
		if flags != "-" || public[31]&0x80 != 0 {
			require.NotEqual(t, "valid", result)
			require.ErrorIs(t, err, handshake.ErrPeerKey, flags)
			refused++
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, shared)
		agreed++
	})
	require.Equal(t, 474, agreed)
	require.Equal(t, 44, refused)
}

// TestWycheproofChaCha20Poly1305 runs Wycheproof's cases through the AEAD that both
// flynn/noise and the record layer use, and those whose nonce Noise can count to
// through Noise's cipher.
func TestWycheproofChaCha20Poly1305(t *testing.T) {
	var valid, invalid, byNoise int
	wycheproof(t, "chacha20poly1305-wycheproof.txt", 6, func(t *testing.T, result string, c []string) {
		key, nonce, ad, plain := unhex(t, c[0]), unhex(t, c[1]), unhex(t, c[2]), unhex(t, c[3])
		sealed := append(unhex(t, c[4]), unhex(t, c[5])...)
		aead, err := chacha20poly1305.New(key)
		require.NoError(t, err)
		opened, err := aead.Open([]byte{}, nonce, sealed, ad)
		if result != "valid" {
			require.Error(t, err)
			invalid++
			return
		}
		require.NoError(t, err)
		require.Equal(t, plain, opened)
		require.Equal(t, sealed, aead.Seal(nil, nonce, plain, ad))
		valid++
		if [4]byte(nonce) == [4]byte{} { // Noise §12.3: four zeros and the counter
			n := binary.LittleEndian.Uint64(nonce[4:])
			require.Equal(t, sealed, noise.CipherChaChaPoly.Cipher([32]byte(key)).Encrypt(nil, n, ad, plain))
			byNoise++
		}
	})
	require.Equal(t, 256, valid)
	require.Equal(t, 60, invalid)
	require.Equal(t, 10, byNoise)
}
