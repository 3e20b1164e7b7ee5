// Package socket is the Linux edge to AF_UNIX SOCK_SEQPACKET sockets: listen,
// connect, datagrams with at most one descriptor, and the kernel's credentials
// of the sender. Sockets are non-blocking, close-on-exec, and wait in Go's
// netpoller.
//
// Nothing here interprets what a peer sends. A datagram that is cut off, or that
// carries more descriptors than expected, is an error, and its descriptors are
// closed.
package socket
