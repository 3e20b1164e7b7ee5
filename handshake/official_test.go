package handshake_test

import (
	"encoding/json"
	"errors"
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

// inCI reports whether a missing tool or file is a failure rather than a skip.
func inCI() bool { return os.Getenv("CI") != "" || os.Getenv("SEALPORT_CI") != "" }

// official reads a file of other people's vectors: from ../shared/vectors seen
// from the project's root, or from $SEALPORT_VECTORS. They are not part of the
// project.
func official(t *testing.T, name string, into any) {
	t.Helper()
	dir := os.Getenv("SEALPORT_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors")
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		// .ci/run allows this only where the folder is absent.
		t.Skipf("needs %s of the shared vectors (SEALPORT_VECTORS)", name)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, into))
}

// noiseVector is the format that cacophony and snow share.
type noiseVector struct {
	Name          string     `json:"protocol_name"`
	InitPrologue  hexBytes   `json:"init_prologue"`
	InitPSKs      []hexBytes `json:"init_psks"`
	InitStatic    hexBytes   `json:"init_static"`
	InitEphemeral hexBytes   `json:"init_ephemeral"`
	InitRemote    hexBytes   `json:"init_remote_static"`
	RespPrologue  hexBytes   `json:"resp_prologue"`
	RespPSKs      []hexBytes `json:"resp_psks"`
	RespStatic    hexBytes   `json:"resp_static"`
	RespEphemeral hexBytes   `json:"resp_ephemeral"`
	HandshakeHash hexBytes   `json:"handshake_hash"`
	Messages      []struct {
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
	for _, tc := range []struct {
		file        string
		total, runs int
		names       []string // of those run, without the suite
	}{
		{"cacophony-25519-chachapoly-blake2b.json", 59, 7, []string{"IK", "IKpsk2", "NK", "NKpsk2", "NNpsk0", "XX", "XXpsk3"}},
		{"snow-25519-chachapoly-blake2b.json", 51, 3, []string{"IK", "NK", "XX"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			var file struct {
				Vectors []noiseVector `json:"vectors"`
			}
			official(t, tc.file, &file)
			require.Len(t, file.Vectors, tc.total)
			var names []string
			for _, v := range file.Vectors {
				offer, ok := offers[v.Name]
				if !ok {
					continue
				}
				names = append(names, strings.Split(v.Name, "_")[1])
				t.Run(v.Name, func(t *testing.T) { v.run(t, offer) })
			}
			slices.Sort(names)
			require.Equal(t, tc.names, names)
			require.Len(t, names, tc.runs)
		})
	}
}

func (v noiseVector) run(t *testing.T, o handshake.Offer) {
	private := func(raw hexBytes) (k keys.PrivateKey) {
		if raw != nil {
			var err error
			k, err = keys.NewPrivateKey(raw)
			require.NoError(t, err)
		}
		return k
	}
	psk := func(all []hexBytes) []byte {
		if len(all) == 0 {
			return nil
		}
		require.Len(t, all, 1)
		return all[0]
	}
	var remote keys.PublicKey
	if v.InitRemote != nil {
		var err error
		remote, err = keys.NewPublicKey(v.InitRemote)
		require.NoError(t, err)
	}
	client, err := handshake.NewNoise(o, true, v.InitPrologue, private(v.InitStatic), private(v.InitEphemeral), remote, psk(v.InitPSKs))
	require.NoError(t, err)
	host, err := handshake.NewNoise(o, false, v.RespPrologue, private(v.RespStatic), private(v.RespEphemeral), keys.PublicKey{}, psk(v.RespPSKs))
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

// TestWycheproofX25519 runs Wycheproof's cases through the DH of a State. We refuse
// more than RFC 7748 asks for: second spellings of a point, and points of small
// order by name.
func TestWycheproofX25519(t *testing.T) {
	var file struct {
		Groups []struct {
			Tests []struct {
				ID      int      `json:"tcId"`
				Flags   []string `json:"flags"`
				Public  hexBytes `json:"public"`
				Private hexBytes `json:"private"`
				Shared  hexBytes `json:"shared"`
				Result  string   `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	official(t, "wycheproof-x25519_test.json", &file)
	var agreed, refused int
	for _, g := range file.Groups {
		for _, tc := range g.Tests {
			k, err := keys.NewPrivateKey(tc.Private)
			require.NoError(t, err, "case %d", tc.ID)
			shared, err := handshake.DH(k, tc.Public)
			if slices.Contains(tc.Flags, "LowOrderPublic") || slices.Contains(tc.Flags, "NonCanonicalPublic") || tc.Public[31]&0x80 != 0 {
				require.NotEqual(t, "valid", tc.Result, "case %d", tc.ID)
				require.ErrorIs(t, err, handshake.ErrPeerKey, "case %d %v", tc.ID, tc.Flags)
				refused++
				continue
			}
			require.NoError(t, err, "case %d %v", tc.ID, tc.Flags)
			require.Equal(t, []byte(tc.Shared), shared, "case %d", tc.ID)
			agreed++
		}
	}
	require.Equal(t, 474, agreed)
	require.Equal(t, 44, refused)
}

// TestWycheproofChaCha20Poly1305 runs Wycheproof's cases through the AEAD that both
// flynn/noise and the record layer use, and those whose nonce Noise can count to
// through Noise's cipher.
func TestWycheproofChaCha20Poly1305(t *testing.T) {
	var file struct {
		Groups []struct {
			Tests []struct {
				ID     int      `json:"tcId"`
				Key    hexBytes `json:"key"`
				IV     hexBytes `json:"iv"`
				AAD    hexBytes `json:"aad"`
				Msg    hexBytes `json:"msg"`
				CT     hexBytes `json:"ct"`
				Tag    hexBytes `json:"tag"`
				Result string   `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	official(t, "wycheproof-chacha20_poly1305_test.json", &file)
	var valid, invalid, byNoise int
	for _, g := range file.Groups {
		for _, tc := range g.Tests {
			if len(tc.IV) != chacha20poly1305.NonceSize {
				require.Equal(t, "invalid", tc.Result, "case %d", tc.ID)
				invalid++ // the AEAD panics on it, and Noise has no other nonces
				continue
			}
			aead, err := chacha20poly1305.New(tc.Key)
			require.NoError(t, err)
			sealed := slices.Concat(tc.CT, tc.Tag)
			opened, err := aead.Open(nil, tc.IV, sealed, tc.AAD)
			if tc.Result != "valid" {
				require.Error(t, err, "case %d", tc.ID)
				invalid++
				continue
			}
			valid++
			require.NoError(t, err, "case %d", tc.ID)
			require.Equal(t, string(tc.Msg), string(opened))
			require.Equal(t, []byte(sealed), aead.Seal(nil, tc.IV, tc.Msg, tc.AAD))
			if [4]byte(tc.IV) == [4]byte{} { // Noise §12.3: four zeros and the counter
				n := uint64(0)
				for i := range 8 {
					n |= uint64(tc.IV[4+i]) << (8 * i)
				}
				require.Equal(t, []byte(sealed), noise.CipherChaChaPoly.Cipher([32]byte(tc.Key)).Encrypt(nil, n, tc.AAD, tc.Msg))
				byNoise++
			}
		}
	}
	require.Equal(t, 256, valid)
	require.Equal(t, 69, invalid)
	require.Equal(t, 10, byNoise)
}
