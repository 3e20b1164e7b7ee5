// Package bech32 encodes bytes as text that finds its own typing errors: the
// checksummed base 32 of BIP 173 with the constant of BIP 350 ("Bech32m").
//
// The checksum is a BCH code. Up to 90 characters it finds every error in up to
// four characters, and in longer text (to 1023) every error in up to three.
// Bech32m also finds inserted and deleted characters, which Bech32 did not
// where the text ended in "p".
//
// This package is stricter than the BIPs: the letter case of the whole text is
// that of the prefix which the caller expects, so every value has one encoding.
package bech32

import (
	"errors"
	"strings"
)

// ErrMalformed is returned by Decode for everything that Encode does not write.
var ErrMalformed = errors.New("bech32: malformed text or wrong checksum")

const (
	// charset orders the 32 characters so that those which look alike differ
	// in one bit (BIP 173).
	charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

	// constant is what the checksum of a valid text leaves (BIP 350).
	constant = 0x2bc830a3

	checksumLen = 6

	// maxLen is the length to which the code keeps its distance of four.
	maxLen = 1023
)

// Encode returns data as text: prefix, "1", the data in base 32 and six
// characters of checksum. The prefix is ASCII of one letter case, and the text
// has that case. Encode panics on another prefix or if the text would exceed
// 1023 characters: both are mistakes of the caller.
func Encode(prefix string, data []byte) string {
	if !validPrefix(prefix) {
		panic("bech32: prefix of mixed case or outside of ASCII")
	}
	return encodeGroups(prefix, toGroups(data))
}

// encodeGroups adds the checksum to groups of five bits and makes text of both.
func encodeGroups(prefix string, groups []byte) string {
	if len(prefix)+1+len(groups)+checksumLen > maxLen {
		panic("bech32: text longer than its checksum can protect")
	}
	state := expandPrefix(prefix)
	for _, g := range groups {
		state = polymod(state, g)
	}
	for range checksumLen {
		state = polymod(state, 0)
	}
	state ^= constant

	out := make([]byte, 0, len(groups)+checksumLen)
	for _, g := range groups {
		out = append(out, charset[g])
	}
	for i := range checksumLen {
		out = append(out, charset[state>>(5*(checksumLen-1-i))&31])
	}
	text := string(out)
	if prefix == strings.ToUpper(prefix) {
		text = strings.ToUpper(text)
	}
	return prefix + "1" + text
}

// Decode returns what Encode made text of, with the same prefix in the same
// letter case. Anything else is ErrMalformed. It does not block and the caller
// owns the returned slice.
func Decode(prefix, text string) ([]byte, error) {
	if !validPrefix(prefix) || len(text) > maxLen {
		return nil, ErrMalformed
	}
	body, ok := strings.CutPrefix(text, prefix+"1")
	if !ok || len(body) < checksumLen {
		return nil, ErrMalformed
	}
	upper := prefix == strings.ToUpper(prefix)
	state := expandPrefix(prefix)
	groups := make([]byte, 0, len(body))
	for i := range len(body) {
		c := body[i]
		switch {
		case upper && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case upper && 'a' <= c && c <= 'z':
			return nil, ErrMalformed
		}
		g := strings.IndexByte(charset, c)
		if g < 0 {
			return nil, ErrMalformed
		}
		state = polymod(state, byte(g))
		groups = append(groups, byte(g))
	}
	if state != constant {
		return nil, ErrMalformed
	}
	return fromGroups(groups[:len(groups)-checksumLen])
}

// validPrefix reports whether prefix is 1 to 83 printable ASCII characters of
// one letter case, with at least one letter to tell it by (BIP 173).
func validPrefix(prefix string) bool {
	if len(prefix) < 1 || len(prefix) > 83 {
		return false
	}
	for i := range len(prefix) {
		if prefix[i] < 33 || prefix[i] > 126 {
			return false
		}
	}
	lower, upper := strings.ToLower(prefix), strings.ToUpper(prefix)
	return lower != upper && (prefix == lower || prefix == upper)
}

// expandPrefix starts the checksum with the prefix: the high bits of each
// character, a zero, the low bits (BIP 173). It is taken in lower case.
func expandPrefix(prefix string) uint32 {
	prefix = strings.ToLower(prefix)
	state := uint32(1)
	for i := range len(prefix) {
		state = polymod(state, prefix[i]>>5)
	}
	state = polymod(state, 0)
	for i := range len(prefix) {
		state = polymod(state, prefix[i]&31)
	}
	return state
}

// polymod takes one group of five bits into the checksum (BIP 173).
func polymod(state uint32, group byte) uint32 {
	top := state >> 25
	state = (state&0x1ffffff)<<5 ^ uint32(group)
	for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 == 1 {
			state ^= g
		}
	}
	return state
}

// toGroups splits data into groups of five bits, the last one padded with zeros.
func toGroups(data []byte) []byte {
	groups := make([]byte, 0, (len(data)*8+4)/5)
	var bits, n uint32
	for _, b := range data {
		bits, n = bits<<8|uint32(b), n+8
		for n >= 5 {
			n -= 5
			groups = append(groups, byte(bits>>n&31))
		}
		bits &= 1<<n - 1
	}
	if n > 0 {
		groups = append(groups, byte(bits<<(5-n)&31))
	}
	return groups
}

// fromGroups is the inverse of toGroups. It refuses a superfluous last group
// and padding that is not zero, which would be a second encoding.
func fromGroups(groups []byte) ([]byte, error) {
	data := make([]byte, 0, len(groups)*5/8)
	var bits, n uint32
	for _, g := range groups {
		bits, n = bits<<5|uint32(g), n+5
		if n >= 8 {
			n -= 8
			data = append(data, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	if n >= 5 || bits != 0 {
		return nil, ErrMalformed
	}
	return data, nil
}
