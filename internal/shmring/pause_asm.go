//go:build amd64 || arm64

package shmring

//go:noescape
func pause(n uint32)
