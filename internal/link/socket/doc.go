// Package socket carries frames over a Unix SOCK_SEQPACKET socket (Linux), and is the
// edge to such sockets for the other packages: listen, connect, datagrams with at
// most one descriptor, and the sender's credentials as the kernel attaches them.
//
// [Conn] and [Listener] are sockets. They are non-blocking, close-on-exec, and wait in
// Go's netpoller. Nothing in them interprets what a peer sends. A datagram that is
// truncated, or that carries descriptors which are not expected, is an error. Whatever a
// peer has sent is closed in the background.
//
// [Link] implements link.Link, with a datagram for each frame. It is the attested
// carrier: the kernel attaches the sender's credentials to every datagram, and a
// frame from a process other than the one that sent the hello, for instance one that
// was passed the descriptor, ends the Link with link.ErrPeerChanged. It is also used
// where memory can't be shared. A datagram begins with one byte, its kind
// (docs/PROTOCOL.md, "Socket"). In [Counts], which is shared memory, the two sides tell each
// other how many frames they have dealt with, and that they want to end.
package socket
