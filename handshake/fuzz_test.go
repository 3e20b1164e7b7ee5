package handshake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// seeds are the vectors in testdata.
func seeds(f *testing.F) (all []vector) {
	f.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "handshakes.json"))
	require.NoError(f, err)
	require.NoError(f, json.Unmarshal(content, &all))
	require.Len(f, all, len(variants))
	return all
}

// FuzzReadOffer: what it accepts is one of the offers that a State can make.
func FuzzReadOffer(f *testing.F) {
	for _, v := range seeds(f) {
		f.Add([]byte(v.Messages[0]))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		offer, err := handshake.ReadOffer(message)
		if err != nil {
			require.ErrorIs(t, err, handshake.ErrHandshake)
			return
		}
		require.EqualValues(t, handshake.Version, message[0])
		for _, v := range variants {
			hybrid := !v.classical && v.pattern != handshake.NN
			if offer == (handshake.Offer{Pattern: v.pattern, Hybrid: hybrid, PSK: v.psk}) {
				return
			}
		}
		t.Fatalf("accepted %v", offer)
	})
}

// only accepts one key.
func only(pinned keys.PublicKey) func(keys.PublicKey, []byte) error {
	return func(key keys.PublicKey, _ []byte) error {
		if !key.Equal(pinned) {
			return errors.New("another key")
		}
		return nil
	}
}

// FuzzState feeds one message to one side of one variant at one turn. Nothing but
// what the honest peer wrote may be accepted, except the clear parts of a first
// message; whatever is refused is refused for good.
func FuzzState(f *testing.F) {
	for i, v := range seeds(f) {
		for turn, m := range v.Messages {
			f.Add(byte(i), byte(turn), []byte(m))
		}
	}
	f.Fuzz(func(t *testing.T, which, turn byte, message []byte) {
		v := variants[int(which)%len(variants)]
		c, h := v.configs()
		if c.VerifyPeer != nil { // the vectors come from another host, which is real
			c.VerifyPeer = only(hostKey.Public())
		}
		if h.VerifyPeer != nil {
			h.VerifyPeer = only(clientKey.Public())
		}
		client, host := pair(t, c, h)
		fix(t, client, host)
		at := int(turn) % v.messages()
		reader, writer := host, client
		var honest []byte
		for i := 0; ; i++ {
			m, err := writer.WriteMessage(nil, nil)
			require.NoError(t, err)
			if i == at {
				honest = m
				break
			}
			_, err = reader.ReadMessage(m)
			require.NoError(t, err)
			reader, writer = writer, reader
		}
		given := bytes.Clone(message)
		payload, err := reader.ReadMessage(message)
		require.Equal(t, given, message, "the message was written to")
		switch {
		case err != nil:
			requireFailed(t, reader, err)
			require.Nil(t, payload)
		case bytes.Equal(message, honest):
		case at > 0:
			t.Fatalf("%s accepted a forged message %d", v.name, at+1)
		default:
			require.LessOrEqual(t, len(payload), handshake.MaxPayload)
		}
	})
}
