package codesign_test

import (
	"encoding/binary"
	"errors"
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

// TestReadRefusesCodeThatTurnsValid: what was read before is that of the invalid code.
func TestReadRefusesCodeThatTurnsValid(t *testing.T) {
	valid := uint32(codesign.FlagValid)
	k := &codesigntest.Kernel{Token: token, Flags: codesign.FlagRuntime, Identifier: "x", Then: &valid}
	_, err := codesign.Read(k, token)
	require.ErrorIs(t, err, codesign.ErrUnsigned)
	_, err = codesign.Read(k, token)
	require.NoError(t, err)
}

// TestReadReturnsTheLastFlags: those that code has got meanwhile, such as that it was
// debugged, count.
func TestReadReturnsTheLastFlags(t *testing.T) {
	debugged := uint32(codesign.FlagValid | codesign.FlagDebugged)
	k := &codesigntest.Kernel{Token: token, Flags: codesign.FlagValid, Identifier: "x", Then: &debugged}
	c, err := codesign.Read(k, token)
	require.NoError(t, err)
	require.Equal(t, debugged, c.Flags)
}

// failing is a kernel that fails at one operation, the nth time.
type failing struct {
	codesigntest.Kernel
	op  uint32
	nth int
	err error
}

func (k *failing) Csops(op uint32, token [8]uint32, buf []byte) error {
	if op == k.op {
		if k.nth--; k.nth == 0 {
			return k.err
		}
	}
	return k.Kernel.Csops(op, token, buf)
}

// TestReadFailsWhole: an error at any step is the error, but for a team that there is not,
// and for a category that the kernel does not know.
func TestReadFailsWhole(t *testing.T) {
	odd := errors.New("odd")
	for _, step := range []struct {
		op  uint32
		nth int
	}{
		{codesign.OpStatus, 1}, {codesign.OpCDHash, 1}, {codesign.OpIdentity, 1}, {codesign.OpTeamID, 1},
		{codesign.OpValidationCategory, 1}, {codesign.OpStatus, 2},
	} {
		for _, failure := range []error{codesign.ErrNoProcess, codesign.ErrUnsigned, codesign.ErrAbsent, odd} {
			k := &failing{codesigntest.Kernel{
				Token: token, Flags: codesign.FlagValid, Identifier: "x", Team: "y", Category: codesign.CategoryAppStore,
			}, step.op, step.nth, failure}
			c, err := codesign.Read(k, token)
			want := codesign.Code{Flags: k.Flags, Identifier: "x", Team: "y", Category: codesign.CategoryAppStore, HasCategory: true}
			switch {
			case step.op == codesign.OpTeamID && failure == codesign.ErrAbsent:
				want.Team = ""
			case step.op == codesign.OpValidationCategory && failure == codesign.ErrUnsigned:
				want.Category, want.HasCategory = 0, false
			default:
				require.ErrorIs(t, err, failure, "step %+v", step)
				require.Zero(t, c)
				continue
			}
			require.NoError(t, err, "step %+v", step)
			require.Equal(t, want, c)
		}
	}
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
