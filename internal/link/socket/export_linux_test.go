package socket

// Closing reports whether something is being closed in the background.
func Closing() bool {
	background.mu.Lock()
	defer background.mu.Unlock()
	return background.running > 0
}
