package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/transport"
)

// plainCodec says nothing of itself, and does what its functions do.
type plainCodec struct {
	encode func() error
	decode func() error
}

func (c plainCodec) Append(b []byte, v string) ([]byte, error) { return append(b, v...), c.encode() }
func (c plainCodec) Decode(b []byte) (string, error)           { return string(b), c.decode() }

type namedCodec struct {
	plainCodec
	name string
}

func (c namedCodec) ContentName() string { return c.name }

func fine() error { return nil }

// serve serves an endpoint with a codec, and what cannot be decoded goes to failures.
func serve(t *testing.T, codec transport.Codec[string], failures chan<- error) (endpoint string, cfg *transport.Config, err error) {
	t.Helper()
	endpoint, dir := transporttest.Place(t)
	h, err := transport.NewHostWithService(endpoint, transport.Service[string]{
		Handle: func(context.Context, transport.Message[string]) {},
		Codec:  codec,
	}, &transport.Config{Dir: dir, OnError: func(err error) { failures <- err }})
	if err == nil {
		t.Cleanup(func() { assert.NoError(t, h.Close()) })
	}
	return endpoint, &transport.Config{Dir: dir}, err
}

func TestContentName(t *testing.T) {
	longest := strings.Repeat("x", wire.MaxContentName)
	for _, name := range []string{"proto:acme.Order", "!~", longest} {
		_, _, err := serve(t, namedCodec{plainCodec{fine, fine}, name}, nil)
		require.NoError(t, err)
	}
	for _, name := range []string{"", longest + "x", "a b", "line\n", "é", "\x7f"} {
		_, _, err := serve(t, namedCodec{plainCodec{fine, fine}, name}, nil)
		assert.ErrorIs(t, err, transport.ErrConfig, "%q", name)
	}
	// A codec that does not say its name is "custom".
	endpoint, cfg, err := serve(t, plainCodec{fine, fine}, nil)
	require.NoError(t, err)
	c, err := transport.NewClientWithCodec[string](t.Context(), endpoint, namedCodec{plainCodec{fine, fine}, "custom"}, cfg)
	require.NoError(t, err)
	require.NoError(t, c.Close())
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
		"panic of EOF":   func() error { panic(io.EOF) },
	} {
		t.Run(name, func(t *testing.T) {
			failures := make(chan error, 2)
			endpoint, cfg, err := serve(t, plainCodec{fine, fail}, failures)
			require.NoError(t, err)
			c, err := transport.NewClientWithCodec[string](t.Context(), endpoint, plainCodec{fail, fine}, cfg)
			require.NoError(t, err)
			unsent := c.Send(t.Context(), "does not encode")
			require.ErrorIs(t, unsent, transport.ErrEncode)
			require.NoError(t, c.Close())

			c, err = transport.NewClientWithCodec[string](t.Context(), endpoint, plainCodec{fine, fine}, cfg)
			require.NoError(t, err)
			require.NoError(t, c.Send(t.Context(), "does not decode"))
			err = <-failures
			require.ErrorIs(t, err, transport.ErrDecode)
			require.NoError(t, c.Close())
			assert.NotErrorIs(t, err, io.EOF)
			if strings.HasSuffix(name, "error") && name != "runtime error" {
				assert.ErrorIs(t, unsent, cause)
				assert.ErrorIs(t, err, cause)
			}
		})
	}
}
