package safefile

// Settled returns the stamp as if the file had been left alone for long before it
// was read: tests don't wait.
func Settled(s Stamp) Stamp {
	s.settled = true
	return s
}
