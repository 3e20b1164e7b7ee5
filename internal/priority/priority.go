// Package priority sets the scheduling priority of the calling thread.
package priority
