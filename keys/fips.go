package keys

import (
	"fmt"

	"github.com/sealport/sealport/internal/fips"
)

// checkFIPS returns nil, or [errors.ErrUnsupported] in a program with
// GODEBUG=fips140=only. Everything that makes, reads, stores or uses a private key
// calls it first, so that the reason is not taken for a malformed key.
func checkFIPS() error {
	if err := fips.Check(); err != nil {
		return fmt.Errorf(prefix+"%w", err)
	}
	return nil
}
