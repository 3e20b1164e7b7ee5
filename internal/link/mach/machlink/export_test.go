package machlink

import "github.com/sealport/sealport/internal/link"

// Kill ends a link as the death of its process would, where the process can't be
// killed because the test runs in it: all rights go, and nothing is said.
func Kill(l link.Link) error {
	c := l.(*Link)
	c.out.mu.Lock()
	c.out.ended = true // no end will be sent
	c.out.mu.Unlock()
	return c.abandon()
}
