package transport_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/transport"
)

// Each type of the table has the codec that it should have or none, and what
// encodes comes back as it was.
func TestCodecOfAwkwardTypes(t *testing.T) {
	for _, row := range transporttest.AwkwardTypes() {
		t.Run(row.Name, func(t *testing.T) {
			c, err := row.Codec()
			if row.Content == "" {
				require.ErrorIs(t, err, transport.ErrConfig)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.Content, c.(interface{ ContentName() string }).ContentName())
			for range 2 { // the second time with what the first has pooled
				for i, v := range row.Values {
					b, err := c.Append([]byte("before"), v)
					require.NoError(t, err, "value %d", i)
					require.Equal(t, "before", string(b[:6]))
					got, err := c.Decode(b[6:])
					require.NoError(t, err, "value %d: %.200s", i, b)
					require.Equal(t, v, got, "value %d: %.200s", i, b)
				}
				for i, v := range row.Unfit {
					b, err := c.Append(nil, v)
					require.Error(t, err, "unfit value %d: %.200s", i, b)
				}
			}
		})
	}
}

// -0 is 0 to ==, and to what compares with it.
func TestJSONKeepsTheSignOfZero(t *testing.T) {
	c, err := transport.CodecOf[float64]()
	require.NoError(t, err)
	b, err := c.Append(nil, math.Copysign(0, -1))
	require.NoError(t, err)
	got, err := c.Decode(b)
	require.NoError(t, err)
	assert.True(t, math.Signbit(got))
}

func TestJSONDecodesStrictly(t *testing.T) {
	c, err := transport.CodecOf[transporttest.Note]()
	require.NoError(t, err)
	for name, bad := range map[string]string{
		"nothing":        "",
		"white space":    " \n",
		"half":           `{"Number":1`,
		"unknown field":  `{"Number":1,"Nummer":2}`,
		"two values":     `{"Number":1}{}`,
		"garbage after":  `{"Number":1}]`,
		"no UTF-8":       "{\"Text\":\"\xff\"}",
		"surrogate":      "{\"Text\":\"\xed\xa0\x80\"}",
		"another type":   `{"Number":"1"}`,
		"another number": `{"Number":1.5}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Decode([]byte(bad))
			require.Error(t, err)
			assert.Zero(t, got)
			// The next message is not mixed up with it.
			got, err = c.Decode([]byte(`{"Number":7}` + "\n"))
			require.NoError(t, err)
			assert.Equal(t, transporttest.Note{Number: 7}, got)
		})
	}
}

// What decodes encodes again, and comes back the same.
func FuzzJSONDecode(f *testing.F) {
	type message struct {
		transporttest.Embedding
		Tree  *transporttest.Tree
		Any   any
		Level map[transporttest.Level]float32
		Raw   json.RawMessage `json:",omitempty"`
		Quote transporttest.Quoting
		At    time.Time
	}
	c, err := transport.CodecOf[message]()
	require.NoError(f, err)
	seed, err := c.Append(nil, message{
		Tree: &transporttest.Tree{Kids: []transporttest.Tree{{Name: "k"}}}, Any: []any{1.5, nil}, Quote: transporttest.Quoting{Number: "1"},
		Level: map[transporttest.Level]float32{1: 0.1},
	})
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"Any":{"a":[true,"b",1e400]},"Raw":{"x":1},"Tree":{"Up":{"u":null}}}`))
	f.Fuzz(func(t *testing.T, b []byte) { again(t, c, b) })
}

func FuzzBinaryDecode(f *testing.F) {
	c, err := transport.CodecOf[netip.AddrPort]()
	require.NoError(f, err)
	seed, err := c.Append(nil, netip.MustParseAddrPort("[fe80::1%lo]:80"))
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) { again(t, c, b) })
}

// again requires of bytes that decode that their value encodes, unless it is one
// that no Send makes, to bytes that decode to a value of the same encoding: values
// such as times are equal in more ways than one.
func again[T any](t *testing.T, c transport.Codec[T], b []byte) {
	v, err := c.Decode(b)
	if err != nil {
		return
	}
	if b, err = c.Append(nil, v); err != nil {
		return
	}
	got, err := c.Decode(b)
	require.NoError(t, err, "%q", b)
	same, err := c.Append(nil, got)
	require.NoError(t, err, "%q", b)
	require.Equal(t, string(b), string(same))
}

type order struct {
	ID       uint64
	Customer string
	Lines    []int
	Paid     bool
}

var anOrder = order{42, "somebody", []int{1, 2, 3}, true}

// BenchmarkJSON compares the JSON codec with encoding/json.
func BenchmarkJSON(b *testing.B) {
	c, err := transport.CodecOf[order]()
	require.NoError(b, err)
	encoded, err := c.Append(nil, anOrder)
	require.NoError(b, err)
	buf := make([]byte, 0, 1024)
	b.Run("encode/sealport", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = c.Append(buf, anOrder)
		}
	})
	b.Run("encode/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p []byte
			p, err = json.Marshal(anOrder)
			_ = append(buf, p...)
		}
	})
	b.Run("decode/sealport", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err = c.Decode(encoded)
		}
	})
	b.Run("decode/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v order
			err = json.Unmarshal(encoded, &v)
		}
	})
	require.NoError(b, err)
}
