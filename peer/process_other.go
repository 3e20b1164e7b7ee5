//go:build !linux

package peer

import (
	"errors"
	"fmt"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("%w: %w on %s", ErrNoIdentity, errors.ErrUnsupported, runtime.GOOS)
}

// statFile fails: executables are not compared here.
func statFile(string) (ExecutableFile, error) {
	return ExecutableFile{}, unavailable("executable")
}
