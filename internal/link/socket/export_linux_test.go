package socket

// Closing reports whether something is being closed in the background.
func Closing() bool {
	background.mu.Lock()
	defer background.mu.Unlock()
	return background.running > 0
}

// What a Link does with Counts.
func (c *Counts) SetDealt(frames uint64) { c.setDealt(frames) }
func (c *Counts) PeerDealt() uint64      { return c.peerDealt() }
func (c *Counts) AskToEnd()              { c.askToEnd() }
func (c *Counts) PeerAsks() bool         { return c.peerAsks() }

// SwapFD puts another descriptor in the place of the memory file's, which it returns.
func (c *Counts) SwapFD(fd int) int {
	c.fd, fd = fd, c.fd
	return fd
}
