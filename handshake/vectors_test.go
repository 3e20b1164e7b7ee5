package handshake_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

var update = flag.Bool("update", false, "write testdata/handshakes.json anew")

// hexBytes are bytes that are hexadecimal in JSON.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vector is one handshake from fixed inputs, with everything that another
// implementation needs to make it again.
type vector struct {
	Name                string     `json:"name"`
	Noise               string     `json:"noise"`
	Endpoint            string     `json:"endpoint"`
	InitiatorIdentity   hexBytes   `json:"initiator_identity"`
	ResponderIdentity   hexBytes   `json:"responder_identity"`
	Binding             hexBytes   `json:"binding"`
	InitiatorStatic     hexBytes   `json:"initiator_static,omitempty"`
	ResponderStatic     hexBytes   `json:"responder_static,omitempty"`
	InitiatorEphemeral  hexBytes   `json:"initiator_ephemeral"`
	ResponderEphemeral  hexBytes   `json:"responder_ephemeral"`
	DecapsulationSeed   hexBytes   `json:"ml_kem_seed,omitempty"`
	EncapsulationRandom hexBytes   `json:"ml_kem_message,omitempty"`
	PSK                 hexBytes   `json:"psk,omitempty"`
	Prologue            hexBytes   `json:"prologue"`
	Payloads            []hexBytes `json:"payloads"`
	Messages            []hexBytes `json:"messages"`
	Hash                hexBytes   `json:"handshake_hash"`
	InitiatorSends      hexBytes   `json:"initiator_send_key"`
	ResponderSends      hexBytes   `json:"responder_send_key"`
}

// TestVectors compares every handshake with the one in testdata: a change there is
// a change of the protocol and needs another Version.
func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "handshakes.json")
	var want []vector
	if !*update {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, &want))
		require.Len(t, want, 13)
	}
	require.Len(t, variants, 13)
	var got []vector
	for i, v := range variants {
		made := v.make(t)
		got = append(got, made)
		if !*update {
			require.Equal(t, want[i], made)
		}
	}
	if *update {
		content, err := json.MarshalIndent(got, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, append(content, '\n'), 0o644))
	}
}

// make does the handshake of a variant from fixed inputs.
func (v variant) make(t *testing.T) vector {
	repeated := func(b byte, n int) hexBytes {
		out := make(hexBytes, n)
		for i := range out {
			out[i] = b
		}
		return out
	}
	c, h := v.configs()
	if !c.Key.IsZero() {
		c.Key = fixedKey(t, 0xa1)
	}
	if !h.Key.IsZero() {
		h.Key = fixedKey(t, 0xa2)
		if v.pattern != handshake.XX {
			c.PeerStatic = h.Key.Public()
		}
	}
	if v.psk {
		psk, err := keys.NewPreshared(repeated(0xb1, keys.PresharedKeySize))
		require.NoError(t, err)
		c.PSK, h.PSK = psk, psk
	}
	client, host := pair(t, c, h)
	fix(t, client, host)

	out := vector{
		Name:               v.name,
		Endpoint:           c.Endpoint,
		InitiatorIdentity:  c.InitiatorIdentity,
		ResponderIdentity:  c.ResponderIdentity,
		Binding:            c.Binding,
		InitiatorEphemeral: repeated(0xe1, 32),
		ResponderEphemeral: repeated(0xe2, 32),
	}
	if !c.Key.IsZero() {
		out.InitiatorStatic = repeated(0xa1, 32)
	}
	if !h.Key.IsZero() {
		out.ResponderStatic = repeated(0xa2, 32)
	}
	if v.psk {
		out.PSK = repeated(0xb1, 32)
	}
	if !v.classical && v.pattern != handshake.NN {
		out.DecapsulationSeed, out.EncapsulationRandom = repeated(0xd1, 64), repeated(0xc2, 32)
	}
	for i := range v.messages() {
		from, to := client, host
		if i%2 == 1 {
			from, to = host, client
		}
		payload := hexBytes("payload " + string(rune('1'+i)))
		if v.pattern == handshake.XX && i == 0 {
			payload = hexBytes{}
		}
		m, err := from.WriteMessage(nil, payload)
		require.NoError(t, err)
		_, err = to.ReadMessage(m)
		require.NoError(t, err)
		out.Payloads, out.Messages = append(out.Payloads, payload), append(out.Messages, m)
	}
	result, err := client.Result()
	require.NoError(t, err)
	_, err = host.Result()
	require.NoError(t, err)
	hash := result.Hash()
	var send, receive [handshake.KeySize]byte
	result.TakeKeys(&send, &receive)
	out.Noise = result.Offer().String()
	out.Prologue = handshake.Prologue(c, [8]byte(out.Messages[0]))
	out.Hash, out.InitiatorSends, out.ResponderSends = hash[:], send[:], receive[:]
	return out
}

// TestPrologueBytes spells one prologue out.
func TestPrologueBytes(t *testing.T) {
	got := handshake.Prologue(handshake.Config{
		Endpoint:          "ab",
		InitiatorIdentity: []byte{1, 2, 3},
		ResponderIdentity: []byte{4},
		Binding:           nil,
	}, [8]byte{1, 0, 3, 0, 9, 9, 9, 9})
	require.Equal(t, "sealport"+"\x01\x00\x03\x00\x09\x09\x09\x09"+"\x00\x02ab"+"\x00\x03\x01\x02\x03"+"\x00\x01\x04"+"\x00\x00", string(got))
}
