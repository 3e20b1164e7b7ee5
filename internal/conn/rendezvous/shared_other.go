//go:build !linux

package rendezvous

// SharedDir is the default directory of hosts with Options.Shared: none, as there are no
// directories.
func SharedDir() string { return "" }
