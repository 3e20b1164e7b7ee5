//go:build !linux && !darwin

package priority

import (
	"errors"
	"fmt"
)

// SetThread is not supported here.
func SetThread(Level) error {
	return fmt.Errorf("thread priority: %w", errors.ErrUnsupported)
}
