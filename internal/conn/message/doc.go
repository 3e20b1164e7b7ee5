// Package message turns a link, which carries frames of bounded size, into a
// connection that carries messages of any size up to a limit: it packs messages
// into frames, splits those that do not fit, and agrees with the peer in a hello
// on who speaks what.
//
// docs/PROTOCOL.md, "Messages" and "Hello", fixes every byte.
package message
