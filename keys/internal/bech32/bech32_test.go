package bech32_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// TestDecodeBIP350 takes the valid and invalid strings of BIP 350 whose data is
// a whole number of bytes, so that another implementation agrees with ours.
func TestDecodeBIP350(t *testing.T) {
	for _, tc := range []struct {
		name, prefix, text string
		want               []byte // nil: malformed
	}{
		{"empty upper", "A", "A1LQFN3A", []byte{}},
		{"empty lower", "a", "a1lqfn3a", []byte{}},
		{"long prefix", "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1",
			"an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6", []byte{}},
		{"all groups", "abcdef", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
			[]byte{0xff, 0xbb, 0xcd, 0xeb, 0x38, 0xbd, 0xab, 0x49, 0xca, 0x30, 0x7b, 0x9a, 0xc5, 0xa9, 0x28, 0x39, 0x8a, 0x41, 0x88, 0x20}},
		{"bech32, not bech32m", "a", "a12uel5l", nil},
		{"invalid character in checksum", "m", "m1p8q8x\x7f", nil},
		{"checksum of the upper-case prefix", "M", "M1VUXWEZ", nil},
		{"too short checksum", "in", "in1muywd", nil},
		{"empty prefix", "", "16plkw9", nil},
		{"other case than the prefix", "a", "A1LQFN3A", nil},
		{"mixed case", "A", "A1LQfN3A", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := bech32.Decode(tc.prefix, tc.text)
			if tc.want == nil {
				require.ErrorIs(t, err, bech32.ErrMalformed)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.text, bech32.Encode(tc.prefix, got))
		})
	}
}

// TestDecodeFindsErrors flips up to four characters at random places: within
// 90 characters the code must find all of them.
func TestDecodeFindsErrors(t *testing.T) {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		data := make([]byte, 32)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		text := bech32.Encode("sealport", data)
		require.LessOrEqual(t, len(text), 90)
		bad := []byte(text)
		for range 1 + rng.IntN(4) {
			bad[len("sealport1")+rng.IntN(58)] = charset[rng.IntN(32)]
		}
		if string(bad) == text {
			continue
		}
		_, err := bech32.Decode("sealport", string(bad))
		require.ErrorIs(t, err, bech32.ErrMalformed, "%s for %s", bad, text)
	}
}

// TestDecodeRefusesSecondEncodings has texts whose checksum is right and whose
// last group is superfluous or has bits that are not padding.
func TestDecodeRefusesSecondEncodings(t *testing.T) {
	for name, tc := range map[string]struct {
		groups []byte
		want   []byte
	}{
		"one byte":             {[]byte{31, 28}, []byte{0xff}},
		"bits in the padding":  {[]byte{31, 29}, nil},
		"a group more":         {[]byte{31, 28, 0}, nil},
		"one group, no byte":   {[]byte{0}, nil},
		"five bytes":           {make([]byte, 8), make([]byte, 5)},
		"five bytes and group": {make([]byte, 9), nil},
	} {
		got, err := bech32.Decode("sealport", bech32.EncodeGroups("sealport", tc.groups))
		if tc.want == nil {
			require.ErrorIs(t, err, bech32.ErrMalformed, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, tc.want, got, name)
	}
}

func TestEncodePanicsOnCallersMistakes(t *testing.T) {
	for name, prefix := range map[string]string{"mixed": "aB", "no letter": "12", "empty": "", "space": "a b", "long": strings.Repeat("a", 84)} {
		require.Panics(t, func() { bech32.Encode(prefix, nil) }, name)
	}
	require.Panics(t, func() { bech32.Encode("a", make([]byte, 700)) }, "longer than the code protects")
}

func FuzzDecode(f *testing.F) {
	f.Add("sealport1qqqq")
	f.Add(bech32.Encode("sealport", bytes.Repeat([]byte{7}, 32)))
	f.Fuzz(func(t *testing.T, text string) {
		data, err := bech32.Decode("sealport", text)
		if err != nil {
			require.ErrorIs(t, err, bech32.ErrMalformed)
			return
		}
		require.Equal(t, text, bech32.Encode("sealport", data))
	})
}

// TestRoundTrip: data of every length that leaves other padding, up to the longest text,
// and prefixes of the first and the last character allowed.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const longest = 634 // bytes, in 1023 characters with the prefix a
	for _, prefix := range []string{"a", "A", "!a", "~a"} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 31, 32, 33, longest - len(prefix)} {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			got, err := bech32.Decode(prefix, bech32.Encode(prefix, data))
			require.NoError(t, err)
			require.Equal(t, data, got)
		}
	}
	text := bech32.Encode("a", make([]byte, longest))
	require.Len(t, text, 1023)
	_, err := bech32.Decode("a", text)
	require.NoError(t, err)
	require.Panics(t, func() { bech32.Encode("a", make([]byte, longest+1)) })
	for _, prefix := range []string{"\x20a", "\x7fa"} {
		require.Panics(t, func() { bech32.Encode(prefix, nil) })
	}
}

// TestOneLetterCase: no letter of a text may have another case than the prefix.
func TestOneLetterCase(t *testing.T) {
	all := make([]byte, 32) // each group once
	for i := range all {
		all[i] = byte(i)
	}
	for prefix, other := range map[string]func(string) string{"A": strings.ToLower, "a": strings.ToUpper} {
		text := bech32.EncodeGroups(prefix, all)
		_, err := bech32.Decode(prefix, text)
		require.NoError(t, err)
		for i := len(prefix) + 1; i < len(text); i++ {
			letter := text[i : i+1]
			if other(letter) == letter {
				continue
			}
			_, err := bech32.Decode(prefix, text[:i]+other(letter)+text[i+1:])
			require.ErrorIs(t, err, bech32.ErrMalformed, letter)
		}
	}
}
