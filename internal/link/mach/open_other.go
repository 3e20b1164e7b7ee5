//go:build !darwin

package mach

import (
	"errors"
	"fmt"
	"runtime"
)

var errNotDarwin = fmt.Errorf("mach: no Mach kernel on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Open returns this task's view of the kernel. Here there is none: the error
// wraps errors.ErrUnsupported.
func Open() (Kernel, error) { return nil, errNotDarwin }

// Csops needs Darwin: the error wraps errors.ErrUnsupported.
func Csops(uint32, [8]uint32, []byte) error { return errNotDarwin }

// SetThreadQoS needs Darwin: the error wraps errors.ErrUnsupported.
func SetThreadQoS(QoS, int) error { return errNotDarwin }
