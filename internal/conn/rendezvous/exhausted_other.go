//go:build !unix

package rendezvous

func descriptorLimit() string { return "" }
