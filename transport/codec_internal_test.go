package transport

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type namedCodec struct {
	stringCodec
	name string
}

func (c namedCodec) ContentName() string { return c.name }

// plainCodec says nothing of itself, and does what its functions do.
type plainCodec struct {
	encode func() error
	decode func() error
}

func (c plainCodec) Append(b []byte, v string) ([]byte, error) { return append(b, v...), c.encode() }
func (c plainCodec) Decode(b []byte) (string, error)           { return string(b), c.decode() }

func TestContentName(t *testing.T) {
	longest := strings.Repeat("x", maxContentName)
	for _, name := range []string{"proto:acme.Order", "a!~", longest} {
		got, err := contentName[string](namedCodec{name: name})
		require.NoError(t, err)
		assert.Equal(t, name, got)
	}
	for _, name := range []string{"", longest + "x", "a b", "line\n", "é", "\x7f"} {
		_, err := contentName[string](namedCodec{name: name})
		assert.ErrorIs(t, err, ErrConfig, "%q", name)
	}
	got, err := contentName[string](plainCodec{})
	require.NoError(t, err)
	assert.Equal(t, "custom", got)
}

// A codec's panic is an error of its message, and so is its io.EOF, which would
// mean the end of the connection.
func TestCoderContainsItsCodec(t *testing.T) {
	cause := errors.New("cause")
	for name, fail := range map[string]func() error{
		"error":          func() error { return cause },
		"panic":          func() error { panic("at the codec") },
		"panic of error": func() error { panic(cause) },
		"runtime error":  func() error { return []error{}[len(fmt.Sprint())] },
		"io.EOF":         func() error { return io.EOF },
	} {
		t.Run(name, func(t *testing.T) {
			k := newCoder[string](plainCodec{fail, fail})
			b, err := k.encode(nil, "v")
			require.ErrorIs(t, err, ErrEncode)
			assert.Nil(t, b)
			_, err = k.decode([]byte("v"))
			require.Error(t, err)
			assert.NotErrorIs(t, err, io.EOF)
			if strings.HasSuffix(name, "error") && name != "runtime error" {
				assert.ErrorIs(t, err, cause)
			}
		})
	}
}
