//go:build !linux

package transporttest

// Sockets spoken by hand, and what idle processes cost, are Linux's.
var wireTests, idleTests []test

// processTicks and threadNice are measured on Linux only.
func processTicks() int { return 0 }
func threadNice() int   { return 0 }
