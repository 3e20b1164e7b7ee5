//go:build !linux

package transporttest

// The wire protocol is that of Linux's sockets, and the cost of idle processes is
// measured there.
var wireTests, plainWireTests, longPlainWireTests, attestedTests, idleTests []test

// processTicks and threadNice are measured on Linux only.
func processTicks() int { return 0 }
func threadNice() int   { return 0 }
