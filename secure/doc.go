// Package secure is package [transport] with end-to-end encryption between the
// two processes: a Noise handshake, made hybrid with ML-KEM-768, then
// ChaCha20-Poly1305 records. Hosts, clients, messages and errors are those of
// package transport; an application moves between plain and secure by changing
// the constructor.
//
//	host, err := secure.NewSecureHost("com.example.greeter", handle,
//		&secure.Config{Key: hostKey, Trust: keys.Allow(clientPublic)})
//	client, err := secure.NewSecureClient[string](ctx, "com.example.greeter",
//		&secure.Config{Key: clientKey, Trust: keys.Pin(hostPublic)})
//
// # What it adds
//
// Each side proves that it holds its static key, and the other side authorizes
// that key by Config.Trust. The peer policy of package transport is checked as
// well, before the handshake. A client's constructor returns after the host has
// accepted the client's key. The handshake binds the endpoint's name and the
// kernel's identities of both processes, so a process in between can't relay it.
// Records are authenticated in order: a record that is changed, dropped,
// repeated, moved or taken from another connection ends the connection with
// [ErrRecord]. A connection that ends without the peer's close record never
// ends with [io.EOF]: the error is [transport.ErrPeerGone] if the peer's process
// died, else [ErrTruncated].
//
// Keys are replaced by a rekey after some time or amount of data, and by a
// rehandshake once an hour: a stolen key reveals neither earlier messages nor
// those after the next rehandshake.
//
// # Concurrency and blocking
//
// All functions may be called concurrently. They read their Config once and do not
// change it; several may use one. NewSecureClient, NewSecureClientWithCodec and Dial
// block until their context ends, at most; the others do not block longer than those
// of package transport. An error leaves nothing open and nothing served.
//
// # What it does not do
//
// It does not hide that two processes talk, when, or how much. It does not
// protect against root, or against a process that can read the memory of either
// side. See SECURITY.md for the complete list.
//
// X25519, ChaCha20-Poly1305 and BLAKE2b are not part of the FIPS 140-3 module. In a
// program with GODEBUG=fips140=only every constructor returns [errors.ErrUnsupported]
// with this reason; package transport works there. With GODEBUG=fips140=on this package
// works too.
//
// # Strict by default
//
// A host needs Trust to start. A client must pin the host's key ([keys.Pin]) or
// state that it accepts the first one it sees ([keys.TrustOnFirstUse]). A setting
// that the role does not use is refused with [transport.ErrConfig]. There is no
// fallback to plain: a plain and a secure side refuse each other.
package secure
