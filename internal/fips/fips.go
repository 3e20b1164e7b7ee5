// Package fips says whether this program may use the cryptography of sealport, which is
// not that of the FIPS 140-3 module.
package fips

import (
	"crypto/fips140"
	"errors"
	"fmt"
)

// errOnly is what Check returns in a program that excludes everything else.
var errOnly = fmt.Errorf("%w: GODEBUG=fips140=only excludes X25519, ChaCha20-Poly1305 and BLAKE2b, which are not part of the FIPS 140-3 module; "+
	"set GODEBUG=fips140=on or off, or use package transport", errors.ErrUnsupported)

// Check returns nil, or an error that matches [errors.ErrUnsupported] and gives the
// reason. The caller adds the name of its package.
func Check() error {
	if fips140.Enforced() {
		return errOnly
	}
	return nil
}
