// Bench measures sealport against what people write by hand, between processes:
//
//	go run .                        everything
//	go run . -rows '64 B' -peers 'ring|stream' -duration 1s -repetitions 9
//	go run . -list machipc          the list of the Swift library MachIPC
//
// It runs itself again for each measurement: one process serves, one or more
// send, and the first only waits. The contenders take turns, so that what the
// machine does besides hits all of them alike; each cell is the median of the
// repetitions, and each ratio the median of the ratios within a turn.
//
// It never fails because something is slow. It does if a message is lost.
package main
