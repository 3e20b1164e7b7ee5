// Package rendezvous is how a client finds a host by the name of an endpoint, and
// how the two get from there to a link.Link: on Linux a SOCK_SEQPACKET socket in
// a checked directory, on Darwin a bootstrap name.
//
// Each side's first message, its hello, is opaque here; what the kernel says of
// its sender is handed up with it, so that the layer above can refuse a peer
// before anything else is spent on it.
package rendezvous
