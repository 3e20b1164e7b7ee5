// Package conn is the engine below packages transport and secure: it serves and
// finds endpoints, decides on the process at the other end, and makes connections
// that carry messages.
//
// How frames travel is a [rendezvous.Carrier], how they are protected a [Security];
// both are fields of [Config]. A client whose host is in the same process takes
// the same steps over a link in memory.
package conn
