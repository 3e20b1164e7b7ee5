//go:build !amd64 && !arm64

package ring

import "runtime"

func pause(n uint32) { runtime.Gosched() }
