//go:build !long

package transporttest

// repeat is how often a test does what it does n times in a plain run. A secure
// connection costs a handshake, so without the build tag long there are fewer.
func (e *env) repeat(n int) int {
	if e.Secure {
		return n / 5
	}
	return n
}
