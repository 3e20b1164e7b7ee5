// Package message turns a link, which carries frames of bounded size, into a
// connection that carries messages of any size up to a limit: it packs messages
// into frames and splits those that do not fit.
//
// docs/PROTOCOL.md, "Messages", fixes every byte.
package message
