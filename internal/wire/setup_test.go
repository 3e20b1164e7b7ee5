package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
)

// docs/PROTOCOL.md, "Set-up", byte by byte.
func TestSetupBytes(t *testing.T) {
	s := wire.Setup{Carrier: 1, Ring: 0x04030201, Hello: []byte("hello")}
	want := append([]byte{'S', 'P', 'R', 'T', 1, 1, 5, 0, 1, 2, 3, 4, 0, 0, 0, 0}, "hello"...)
	assert.Equal(t, want, s.Append(nil))
	got, err := wire.ParseSetup(want)
	require.NoError(t, err)
	assert.Equal(t, s, got)
}

func TestParseSetupRefuses(t *testing.T) {
	good := wire.Setup{Hello: []byte("hello")}.Append(nil)
	with := func(at int, b byte) []byte {
		c := bytes.Clone(good)
		c[at] = b
		return c
	}
	table := map[string][]byte{
		"nothing":            nil,
		"no room for hello":  good[:15],
		"another magic":      with(0, 's'),
		"another version":    with(4, 2),
		"no such carrier":    with(5, 3),
		"hello cut off":      good[:len(good)-1],
		"more than hello":    append(bytes.Clone(good), 0),
		"another length":     with(6, 4),
		"reserved":           with(12, 1),
		"reserved, the last": with(15, 1),
		"hello too long":     wire.Setup{Hello: make([]byte, 1025)}.Append(nil),
	}
	for name, b := range table {
		_, err := wire.ParseSetup(b)
		assert.ErrorIs(t, err, wire.ErrSetup, name)
		assert.ErrorIs(t, err, link.ErrProtocol, name)
	}
	for _, n := range []int{0, 1024} {
		_, err := wire.ParseSetup(wire.Setup{Hello: make([]byte, n)}.Append(nil))
		assert.NoError(t, err, n)
	}
	assert.Equal(t, 16+1024, wire.MaxSetupSize)
	for _, c := range []wire.Carrier{wire.CarrierNone, wire.CarrierRing, wire.CarrierSocket} {
		got, err := wire.ParseSetup(wire.Setup{Carrier: c}.Append(nil))
		assert.NoError(t, err)
		assert.Equal(t, c, got.Carrier)
	}
}

func FuzzParseSetup(f *testing.F) {
	f.Add(wire.Setup{Hello: []byte("hello")}.Append(nil))
	f.Add(wire.Setup{Carrier: 1, Ring: 1 << 18}.Append(nil))
	f.Add([]byte("SPRT"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := wire.ParseSetup(b)
		if err != nil {
			require.ErrorIs(t, err, wire.ErrSetup)
			return
		}
		require.Equal(t, b, s.Append(nil))
	})
}
