//go:build !unix

package transporttest

// No signal stops a process here.
var longProcessTests []test
