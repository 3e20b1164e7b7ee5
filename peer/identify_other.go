//go:build !linux && !darwin

package peer

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/sealport/sealport/internal/cred"
)

// Identify fails: this operating system's kernel is not supported.
func Identify(*cred.Credentials) (*Identity, error) { return nil, unsupported() }

// Self fails: this operating system's kernel is not supported.
func Self() (*Identity, error) { return nil, unsupported() }

func unsupported() error {
	return fmt.Errorf("identity on %s: %w: %w", runtime.GOOS, ErrNoIdentity, errors.ErrUnsupported)
}
