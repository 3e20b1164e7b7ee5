//go:build !linux

package transporttest

// What the other systems' tests of the wire will be; this suite's are Linux's.
var wireTests, processTests []test
