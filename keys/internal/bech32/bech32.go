// Package bech32 encodes bytes as text that detects typing errors: the checksummed
// base 32 of BIP 173 with the constant of BIP 350 ("Bech32m").
//
// The checksum is a BCH code. In up to 90 characters it detects every error in up to
// four characters, and in longer text (up to 1023) every error in up to three.
// Bech32m also detects inserted and deleted characters, which Bech32 did not if the
// text ended in "p".
//
// This package is stricter than the BIPs: the whole text has the letter case of the
// prefix that the caller expects, so every value has exactly one encoding.
//
// No function blocks, and all may be called concurrently.
package bech32

import (
	"errors"
	"strings"
)

// ErrMalformed is returned by [Decode] for everything that [Encode] does not return.
var ErrMalformed = errors.New("bech32: malformed text or wrong checksum")

const (
	// charset orders the 32 characters so that similar ones differ in one bit
	// (BIP 173).
	charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

	// constant is the checksum's remainder for a valid text (BIP 350).
	constant = 0x2bc830a3

	checksumLen = 6

	// maxLen is the length up to which the code has distance four.
	maxLen = 1023
)

// Encode returns data as text: prefix, "1", the data in base 32 and six characters of
// checksum. The prefix is ASCII of one letter case, which the whole text has. data is
// not kept. Encode panics on an invalid prefix and if the text would exceed 1023
// characters: both are the caller's mistakes.
func Encode(prefix string, data []byte) string {
	if !validPrefix(prefix) {
		panic("bech32: invalid prefix")
	}
	groups := toGroups(data)
	defer clear(groups)
	return encodeGroups(prefix, groups)
}

// encodeGroups returns groups of five bits and their checksum as text.
func encodeGroups(prefix string, groups []byte) string {
	if len(prefix)+1+len(groups)+checksumLen > maxLen {
		panic("bech32: text too long for its checksum")
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

// Decode returns the data that [Encode] was given with the same prefix, in a slice
// that the caller owns. It fails with [ErrMalformed] for any other text.
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
	defer func() { clear(groups) }()
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

// validPrefix reports whether prefix is 1 to 83 printable ASCII characters of one
// letter case, with at least one letter (BIP 173).
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

// expandPrefix starts the checksum with the prefix in lower case: the high bits of
// each character, a zero, the low bits (BIP 173).
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

// polymod adds one group of five bits to the checksum (BIP 173).
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

// fromGroups is the inverse of toGroups. It refuses a superfluous last group and
// non-zero padding, which would be a second encoding.
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
		clear(data)
		return nil, ErrMalformed
	}
	return data, nil
}
