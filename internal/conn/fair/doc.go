// Package fair shares what a host has for clients that are not connections yet, among
// users first, then among the processes of each user: a [Pending] bounds how many there are,
// and [Slots] how many go on at a time.
//
// Who a client is comes from the kernel, and is used for this only: a process may have
// many children, so the limits of a user are what holds, and a process's share is a help
// to the user's other processes.
package fair

// Process is a process and its user.
type Process struct {
	UID uint32
	PID uint32
}
