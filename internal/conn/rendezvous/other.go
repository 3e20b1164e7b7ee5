//go:build !linux

package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

func errUnsupported() error {
	return fmt.Errorf("sealport has no carrier for %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func listenUnix(string, Options) (Listener, error) { return nil, errUnsupported() }

func dialUnix(context.Context, string, []byte, Options) (Outgoing, error) {
	return nil, errUnsupported()
}
