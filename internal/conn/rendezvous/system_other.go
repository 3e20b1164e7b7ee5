//go:build !linux && !darwin

package rendezvous

import (
	"errors"
	"fmt"
	"runtime"
)

// System returns the operating system's Carrier. Here there is none.
func System() (Carrier, error) {
	return nil, fmt.Errorf("sealport has no carrier for %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
