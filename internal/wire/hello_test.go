package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
)

var hello = wire.Hello{Version: wire.Version, Mode: wire.Plain, Status: wire.Accepted, MaxMessage: 1 << 20, Content: "bytes"}

// docs/PROTOCOL.md, "Hello", byte by byte.
func TestHelloBytes(t *testing.T) {
	h := wire.Hello{Version: 0x0201, Mode: wire.Secure, Status: wire.Busy, Flags: wire.Confirms, MaxMessage: 0x0807060504030201, Content: "json"}
	want := append([]byte("sealport"), 1, 2, 1, 2, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 'j', 's', 'o', 'n')
	assert.Equal(t, want, h.Append(nil))
	assert.Len(t, want, wire.HelloSize+4)
	assert.Equal(t, append([]byte("x"), want...), h.Append([]byte("x")), "it appends")
	got, err := wire.ParseHello(want)
	require.NoError(t, err)
	assert.Equal(t, h, got)

	// A later version may say more.
	for _, more := range []int{1, wire.MaxHelloSize - wire.HelloSize - 4} {
		got, err = wire.ParseHello(append(want, make([]byte, more)...))
		require.NoError(t, err)
		assert.Equal(t, h, got)
	}
}

// TestContentNames: from none, as in a refusal, to the longest.
func TestContentNames(t *testing.T) {
	longest := strings.Repeat("n", 128)
	for _, name := range []string{"", "!", "~", longest} {
		require.True(t, wire.IsContentName(name), name)
		got, err := wire.ParseHello(wire.Hello{MaxMessage: 1, Content: name}.Append(nil))
		require.NoError(t, err, name)
		require.Equal(t, name, got.Content)
	}
	for _, name := range []string{" ", "a b", "\x7f", "\x00", "\x80", longest + "n"} {
		require.False(t, wire.IsContentName(name), name)
		_, err := wire.ParseHello(wire.Hello{MaxMessage: 1, Content: name}.Append(nil))
		require.ErrorIs(t, err, wire.ErrNotHello, name)
	}
}

func TestParseHelloRefuses(t *testing.T) {
	good := hello.Append(nil)
	table := map[string][]byte{
		"nothing":       nil,
		"one byte less": good[:len(good)-1],
		"too long":      append(good, make([]byte, wire.MaxHelloSize-len(good)+1)...),
		"another magic": append([]byte("Sealport"), good[8:]...),
		"without name":  good[:24],
		"name cut off":  append(append([]byte(nil), good[:24]...), 9, 'b', 'y', 't', 'e', 's'),
		"name too long": append(append([]byte(nil), good[:24]...), append([]byte{129}, make([]byte, 129)...)...),
		"name of bytes": append(append([]byte(nil), good[:24]...), 1, 0xff),
	}
	for name, b := range table {
		_, err := wire.ParseHello(b)
		assert.ErrorIs(t, err, wire.ErrNotHello, name)
		assert.ErrorIs(t, err, link.ErrProtocol, name)
	}
}

func TestCheckHello(t *testing.T) {
	require.NoError(t, hello.Check(hello, false))
	table := map[string]struct {
		change func(h *wire.Hello)
		want   error
	}{
		"version":                   {func(h *wire.Hello) { h.Version++ }, wire.ErrVersion},
		"mode":                      {func(h *wire.Hello) { h.Mode = wire.Secure }, wire.ErrMode},
		"no such mode":              {func(h *wire.Hello) { h.Mode = 77 }, wire.ErrMode},
		"receives nothing":          {func(h *wire.Hello) { h.MaxMessage = 0 }, wire.ErrNotHello},
		"the version goes first":    {func(h *wire.Hello) { h.Version, h.Mode = 9, 9 }, wire.ErrVersion},
		"content":                   {func(h *wire.Hello) { h.Content = "json" }, wire.ErrType},
		"no content":                {func(h *wire.Hello) { h.Content = "" }, wire.ErrType},
		"the mode goes before":      {func(h *wire.Hello) { h.Mode, h.Content = wire.Secure, "json" }, wire.ErrMode},
		"any status":                {func(h *wire.Hello) { h.Status = 200 }, nil},
		"any limit but none at all": {func(h *wire.Hello) { h.MaxMessage = 1<<64 - 1 }, nil},
	}
	for name, row := range table {
		h := hello
		row.change(&h)
		assert.ErrorIs(t, h.Check(hello, false), row.want, name)
	}
	// What to do is never to do without encryption.
	plain, secure := hello, hello
	plain.Mode, secure.Mode = wire.Plain, wire.Secure
	assert.ErrorContains(t, plain.Check(secure, true), "the client must use package secure")
	assert.ErrorContains(t, secure.Check(plain, true), "the host must use package secure")
	assert.ErrorContains(t, plain.Check(secure, false), "the host must use package secure")
	assert.ErrorContains(t, secure.Check(plain, false), "the client must use package secure")
	assert.Equal(t, "plain secure mode 9", wire.Plain.String()+" "+wire.Secure.String()+" "+wire.Mode(9).String())
}

func FuzzParseHello(f *testing.F) {
	f.Add(hello.Append(nil))
	f.Add(append(hello.Append(nil), "later"...))
	f.Add([]byte("sealport"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.ParseHello(b)
		if err != nil {
			require.ErrorIs(t, err, wire.ErrNotHello)
			return
		}
		_ = h.Check(hello, false)
		want := append([]byte(nil), b[:wire.HelloSize+len(h.Content)]...)
		clear(want[13:16]) // reserved
		require.Equal(t, want, h.Append(nil))
	})
}
