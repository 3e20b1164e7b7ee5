// Package machtest is a Mach kernel in memory: tasks with their port name
// spaces, rights with their counts, message queues, port sets, notifications,
// audit trailers, out-of-line memory and the bootstrap name service. It takes
// and gives the same bytes as the real one, through mach.Kernel.
//
// It exists so that machlink can be run, attacked and made to fail on any
// system. Where xnu leaves a choice it takes the nastier one: a freed name is
// the next to be reused, dead rights turn into dead names at once, a send that
// times out hands its rights back as new references. A task can be killed,
// change its audit token, be interrupted, and have any single call fail.
//
// Not simulated: importance, vouchers, guards, kernel objects, priorities,
// Mach exceptions, and what later kernels refuse to processes of Apple's own. Rules
// were taken from osfmk/ipc (ipc_right.c, ipc_port.c, ipc_kmsg.c, ipc_mqueue.c,
// ipc_notify.c, mach_port.c, mach_kernelrpc.c) and osfmk/kern/waitq.c of xnu-7195.141.2
// and xnu-11417.121.6; where the two differ there is a Generation of each.
package machtest
