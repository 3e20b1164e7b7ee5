//go:build long

package transporttest

// repeat is how often a test does what it does n times in a plain run.
func (e *env) repeat(n int) int { return n }
