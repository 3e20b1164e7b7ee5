//go:build !linux

package transporttest

// threadNice is the nice value of the calling thread.
func threadNice() int { return 0 }
