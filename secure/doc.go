// Package secure is package transport with the contents of messages known to two
// processes only: a Noise handshake, made hybrid with ML-KEM-768, then
// ChaCha20-Poly1305 records. Hosts, clients, messages and errors are transport's;
// an application moves between plain and secure by changing the constructor.
//
//	host, err := secure.NewSecureHost("com.example.greeter", handle,
//		&secure.Config{Key: hostKey, Trust: keys.Allow(clientPublic)})
//	client, err := secure.NewSecureClient[string](ctx, "com.example.greeter",
//		&secure.Config{Key: clientKey, Trust: keys.Pin(hostPublic)})
//
// # What it adds
//
// Each side proves that it holds its static key, and the other decides by
// Config.Trust; the peer policy of package transport holds as well, and comes
// first. A client's constructor returns when the host has accepted its key. The
// handshake binds the endpoint's name and both processes as the kernel knows them,
// so that a process in between can't relay it. Every record is authenticated in
// its place: what is changed, left out, repeated, moved or comes from another
// connection ends the connection with an error, and an end that the peer did not
// seal is ErrTruncated, never io.EOF.
//
// Keys are replaced by the next of a chain after some time or amount, and by a
// whole new handshake once an hour: who steals a key reads neither what was
// before nor, after the next handshake, what comes.
//
// # What it does not
//
// It does not hide that, when and how much two processes talk. It does not
// protect against root, or against whoever can read either process's memory.
// SECURITY.md has the whole list.
//
// # Strict by default
//
// A host without a trust decision does not start, nor does a client that does not
// say which host key it expects (keys.Pin) or that it takes the first it sees
// (keys.TrustOnFirstUse). Secure never falls back to plain: the two refuse each
// other.
package secure
