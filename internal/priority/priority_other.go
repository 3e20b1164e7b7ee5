//go:build !linux

package priority

import (
	"errors"
	"fmt"
)

// SetThread is not supported here.
func SetThread(int) error {
	return fmt.Errorf("thread priority: %w", errors.ErrUnsupported)
}
