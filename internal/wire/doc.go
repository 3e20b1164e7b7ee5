// Package wire holds the bytes with which two processes begin to talk: the set-up
// message, which only Unix sockets need, and the hello within it. Their magics,
// versions, sizes and limits are defined here and nowhere else. It does no I/O.
//
// docs/PROTOCOL.md, "Set-up" and "Hello", fixes every byte.
package wire
