// Package priority sets the scheduling priority of the calling thread.
package priority

// Level is a priority relative to the process's own.
type Level int

// The levels.
const (
	Low  Level = iota + 1 // background work
	High                  // work that a user waits for
)
