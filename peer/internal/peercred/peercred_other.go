//go:build !linux && !darwin

package peercred

import (
	"errors"
	"runtime"
)

func get(int) (*Credentials, error) { return nil, failed(runtime.GOOS, errors.ErrUnsupported) }
