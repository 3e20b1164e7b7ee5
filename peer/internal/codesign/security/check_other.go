//go:build !darwin

package security

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// CheckRequirement needs Darwin: the error wraps errors.ErrUnsupported.
func CheckRequirement(context.Context, [8]uint32, string) error {
	return fmt.Errorf("security: no code requirements on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
