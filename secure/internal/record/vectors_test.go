package record_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/secure/internal/record"
)

// hexBytes are bytes that are hexadecimal in JSON.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// vectorStep is one record of docs/PROTOCOL.md, "Vectors".
type vectorStep struct {
	From      string     `json:"from"`
	Type      string     `json:"type"`
	Key       hexBytes   `json:"key"`
	Plaintext hexBytes   `json:"plaintext"`
	Record    hexBytes   `json:"record"`
	NotSent   bool       `json:"not_sent"`
	Messages  []hexBytes `json:"messages"`
}

// vectorTypes are the names of the types in the vectors.
var vectorTypes = map[string]record.Type{
	"data": record.Data, "close": record.Close, "rekey": record.Rekey,
	"handshake": record.Handshake, "switch": record.Switch, "ready": record.Ready,
}

// TestVectors seals and opens the records of whole connections, which were written
// by the text of docs/PROTOCOL.md alone, and reads the messages in them.
func TestVectors(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors.json"))
	require.NoError(t, err)
	var connections []struct {
		Name  string        `json:"name"`
		Steps []*vectorStep `json:"steps"`
	}
	require.NoError(t, json.Unmarshal(content, &connections))
	require.Len(t, connections, 3)
	steps, messages := 0, 0
	for _, c := range connections {
		t.Run(c.Name, func(t *testing.T) {
			sides := map[string]*vectorSide{}
			for _, step := range c.Steps {
				side := sides[step.From]
				if side == nil {
					side = newVectorSide(t, step.Key)
					sides[step.From] = side
				}
				side.play(t, step)
				steps++
				messages += len(step.Messages)
			}
			require.Len(t, sides, 2)
		})
	}
	require.Equal(t, 82, steps)
	require.Equal(t, 42, messages)
}

// vectorSide is one direction: what seals, what opens, and what reads messages.
type vectorSide struct {
	seal     *record.Sealer
	open     *record.Opener
	switched bool // the next record has a new key
	frames   link.Link
	messages *message.Conn
}

func newVectorSide(t *testing.T, key []byte) *vectorSide {
	near, far := mem.Pair()
	s := &vectorSide{
		seal: record.NewSealer((*[record.KeySize]byte)(key)), open: record.NewOpener((*[record.KeySize]byte)(key)),
		frames: near, messages: message.NewConn(far, message.Config{MaxSend: 1 << 20, MaxReceive: 1 << 20}),
	}
	t.Cleanup(func() {
		require.NoError(t, s.messages.Close())
		require.NoError(t, s.frames.Close())
	})
	return s
}

func (s *vectorSide) play(t *testing.T, step *vectorStep) {
	if s.switched {
		key := (*[record.KeySize]byte)(step.Key)
		s.seal.Replace(key)
		s.open.Replace(key)
	}
	typ, known := vectorTypes[step.Type]
	require.True(t, known, step.Type)
	s.switched = typ == record.Switch
	sealed, err := s.seal.Seal(nil, typ, nil, step.Plaintext)
	require.NoError(t, err)
	require.Equal(t, []byte(step.Record), sealed)
	if step.NotSent {
		s.seal.Abandoned()
		return
	}
	s.seal.Sent()
	if typ == record.Rekey {
		s.seal.Rekey()
	}

	got, opened, err := s.open.Open([]byte{}, step.Record)
	require.NoError(t, err)
	require.Equal(t, typ, got)
	require.Equal(t, []byte(step.Plaintext), opened)
	if typ == record.Data {
		require.NoError(t, s.frames.WriteFrame(t.Context(), nil, opened))
	}
	for _, want := range step.Messages {
		m, err := s.messages.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, string(want), string(m))
	}
}
