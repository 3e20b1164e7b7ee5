package message_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
)

var hello = message.Hello{Version: message.Version, Mode: message.Plain, Status: message.Accepted, MaxMessage: 1 << 20}

// docs/PROTOCOL.md, "Hello", byte by byte.
func TestHelloBytes(t *testing.T) {
	h := message.Hello{Version: 0x0201, Mode: message.Secure, Status: message.Busy, MaxMessage: 0x0807060504030201}
	want := append([]byte("sealport"), 1, 2, 1, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	assert.Equal(t, want, h.Append(nil))
	assert.Len(t, want, message.HelloSize)
	assert.Equal(t, append([]byte("x"), want...), h.Append([]byte("x")), "it appends")
	got, err := message.ParseHello(want)
	require.NoError(t, err)
	assert.Equal(t, h, got)

	// A later version may say more.
	for _, more := range []int{1, message.MaxHelloSize - message.HelloSize} {
		got, err = message.ParseHello(append(want, make([]byte, more)...))
		require.NoError(t, err)
		assert.Equal(t, h, got)
	}
}

func TestParseHelloRefuses(t *testing.T) {
	good := hello.Append(nil)
	table := map[string][]byte{
		"nothing":       nil,
		"one byte less": good[:len(good)-1],
		"too long":      append(good, make([]byte, message.MaxHelloSize-len(good)+1)...),
		"another magic": append([]byte("Sealport"), good[8:]...),
	}
	for name, b := range table {
		_, err := message.ParseHello(b)
		assert.ErrorIs(t, err, message.ErrNotHello, name)
		assert.ErrorIs(t, err, link.ErrProtocol, name)
	}
}

func TestCheckHello(t *testing.T) {
	require.NoError(t, hello.Check(hello))
	table := map[string]struct {
		change func(h *message.Hello)
		want   error
	}{
		"version":                   {func(h *message.Hello) { h.Version++ }, message.ErrVersion},
		"mode":                      {func(h *message.Hello) { h.Mode = message.Secure }, message.ErrMode},
		"no such mode":              {func(h *message.Hello) { h.Mode = 77 }, message.ErrMode},
		"receives nothing":          {func(h *message.Hello) { h.MaxMessage = 0 }, message.ErrNotHello},
		"the version goes first":    {func(h *message.Hello) { h.Version, h.Mode = 9, 9 }, message.ErrVersion},
		"any status":                {func(h *message.Hello) { h.Status = 200 }, nil},
		"any limit but none at all": {func(h *message.Hello) { h.MaxMessage = 1<<64 - 1 }, nil},
	}
	for name, row := range table {
		h := hello
		row.change(&h)
		assert.ErrorIs(t, h.Check(hello), row.want, name)
	}
	assert.Equal(t, "plain secure mode 9", message.Plain.String()+" "+message.Secure.String()+" "+message.Mode(9).String())
}

func FuzzParseHello(f *testing.F) {
	f.Add(hello.Append(nil))
	f.Add(append(hello.Append(nil), "later"...))
	f.Add([]byte("sealport"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := message.ParseHello(b)
		if err != nil {
			require.ErrorIs(t, err, message.ErrNotHello)
			return
		}
		_ = h.Check(hello)
		want := append([]byte(nil), b[:message.HelloSize]...)
		clear(want[12:16]) // reserved
		require.Equal(t, want, h.Append(nil))
	})
}
