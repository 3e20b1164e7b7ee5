// Package socklink carries frames over a Unix SOCK_SEQPACKET socket (Linux), a
// datagram each, and has the kernel attach the sender's credentials to every one
// of them. It is the attested carrier: a frame from another process than the one
// that said hello, to which the descriptor was passed, ends the Link with
// link.ErrPeerChanged. It is also the way out where no memory file is to be had.
//
// A datagram begins with one byte, its kind (docs/PROTOCOL.md, "Socket").
package socklink
