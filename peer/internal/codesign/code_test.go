package codesign_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/codesign/codesigntest"
)

var token = [8]uint32{0, 0, 0, 0, 0, 4711, 0, 3}

func TestReadTakesWhatTheKernelSays(t *testing.T) {
	k := &codesigntest.Kernel{
		Token: token, Flags: codesign.FlagValid | codesign.FlagRuntime, Identifier: "com.example", Team: "ABCDE12345",
		CDHash: [20]byte{1, 2}, Category: codesign.CategoryAppStore,
	}
	c, err := codesign.Read(k, token)
	require.NoError(t, err)
	assert.Equal(t, codesign.Code{
		Flags: k.Flags, Identifier: k.Identifier, Team: k.Team, CDHash: k.CDHash, Category: k.Category, HasCategory: true,
	}, c)
	k.Team = ""
	c, err = codesign.Read(k, token)
	require.NoError(t, err)
	assert.Empty(t, c.Team)
	_, err = codesign.Read(k, [8]uint32{1})
	require.ErrorIs(t, err, codesign.ErrNoProcess)
}

// TestReadRefusesCodeThatTurnsInvalid while it is being looked at.
func TestReadRefusesCodeThatTurnsInvalid(t *testing.T) {
	runtime := uint32(codesign.FlagRuntime)
	k := &codesigntest.Kernel{Token: token, Flags: codesign.FlagValid, Identifier: "x", Then: &runtime}
	_, err := codesign.Read(k, token)
	require.ErrorIs(t, err, codesign.ErrUnsigned)
	require.Equal(t, runtime, k.Flags, "it was valid at first")
	_, err = codesign.Read(k, token)
	require.ErrorIs(t, err, codesign.ErrUnsigned)
}

// TestReadRefusesLongStrings rather than to cut them.
func TestReadRefusesLongStrings(t *testing.T) {
	k := &codesigntest.Kernel{Token: token, Flags: codesign.FlagValid, Identifier: strings.Repeat("x", 2000)}
	_, err := codesign.Read(k, token)
	require.ErrorIs(t, err, codesign.ErrMalformed)
}

// TestOnlyApplesChainsCount has the categories of which the system has checked
// certificates.
func TestOnlyApplesChainsCount(t *testing.T) {
	for c := range codesign.Category(20) {
		want := c >= codesign.CategoryPlatform && c <= codesign.CategoryDeveloperID
		assert.Equal(t, want, codesign.Code{Category: c, HasCategory: true}.Chained(), "category %d", c)
		assert.False(t, codesign.Code{Category: c}.Chained(), "category %d untold", c)
	}
}

func TestDecodeBlob(t *testing.T) {
	good := blob(0, 8+4, "abc\x00")
	s, err := codesign.DecodeBlob(good)
	require.NoError(t, err)
	assert.Equal(t, "abc", s)
	s, err = codesign.DecodeBlob(append(good, "rest"...))
	require.NoError(t, err)
	assert.Equal(t, "abc", s)
	for name, b := range map[string][]byte{
		"short":           good[:7],
		"header only":     blob(0, 8, ""),
		"longer than all": blob(0, 13, "abc\x00"),
		"enormous":        blob(0, 0xFFFFFFFF, "abc\x00"),
		"no length":       blob(0, 0, "abc\x00"),
		"no end":          blob(0, 11, "abc\x00"),
		"two strings":     blob(0, 13, "ab\x00c\x00"),
		"empty":           blob(0, 9, "\x00"),
	} {
		_, err := codesign.DecodeBlob(b)
		assert.ErrorIs(t, err, codesign.ErrMalformed, name)
	}
}

// FuzzDecodeBlob: what is read is what csops would write.
func FuzzDecodeBlob(f *testing.F) {
	f.Add(blob(0, 12, "abc\x00"))
	f.Add(blob(0xfade7171, 0xFFFFFFFF, "abc\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := codesign.DecodeBlob(b)
		if err != nil {
			require.ErrorIs(t, err, codesign.ErrMalformed)
			return
		}
		again := make([]byte, len(s)+9)
		require.NoError(t, codesigntest.Blob(again, s))
		require.Equal(t, again[4:], b[4:len(again)])
	})
}

func TestInstalledIsNilUntilInstalled(t *testing.T) {
	require.Nil(t, codesign.Installed())
	k := &codesigntest.Kernel{}
	codesign.Install(k)
	require.Equal(t, codesign.Source(k), codesign.Installed())
}

func blob(magic, length uint32, s string) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, s...)
}
