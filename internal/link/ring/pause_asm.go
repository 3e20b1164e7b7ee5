//go:build amd64 || arm64

package ring

//go:noescape
func pause(n uint32)
