// Bench measures sealport against hand-written code, between processes:
//
//	go run .                        everything
//	go run . -rows '64 B' -peers 'ring|stream' -duration 1s -repetitions 9
//	go run . -list machipc          the list of the Swift library MachIPC
//
// It runs itself again for each measurement: one process serves, one or more
// send, and the first only waits. The contenders take turns, so that other load on
// the machine affects all of them alike; each cell is the median of the
// repetitions, and each ratio the median of the ratios within a turn.
//
// It fails if a message is lost, but never because something is slow.
package main
