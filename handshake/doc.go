// Package handshake implements the handshake of secure connections: Noise (revision
// 34) by flynn/noise, combined with ML-KEM-768, and bound to the endpoint's name and
// to the kernel-verified identities of both processes.
//
// A [State] converts between messages and bytes only: it does no I/O, starts no
// goroutine and has no timeouts. Package secure carries its messages and limits how
// long a handshake takes and how many run at once. docs/HANDSHAKE.md specifies every
// byte and justifies the construction.
//
//	Pattern  messages  the client knows the host's key  the client is
//	XX       3         after the handshake              authenticated, its key hidden
//	IK       2         before                           authenticated, its key hidden
//	NK       2         before                           anonymous
//	NN       2         no; both know a PSK              anyone who knows the PSK
//
// Use XX unless you need to save half a round trip (IK), have clients without keys
// (NK), or have a shared secret and no keys (NN).
//
// # Guarantees
//
// When both sides are done, they have the same Hash and keys that no other process
// has, each knows the other's static key where the pattern has one, and both used the
// same version, pattern, hybrid or not, PSK, endpoint, identities and binding. A side
// completes only if every byte arrived as it was sent. The first error is final, and
// a State that failed yields no keys. XX, IK and NK stay secret from an attacker who
// records the connection now and breaks X25519 later, unless Classical is set.
//
// # Limits
//
// Authentication is classical: an attacker who can break X25519 during the handshake
// can impersonate either side. The static keys that are sent (XX and IK) are hidden
// by X25519 alone. The first message of IK, NK and NN may be a replay, by the process
// that sent the original, unless Binding contains fresh bytes from the responder. An
// application that must not act twice waits for a later message or the first record.
//
// # Concurrency and blocking
//
// Functions and the methods of [Result] with a value receiver may be called
// concurrently. A State, and [Result.TakeKeys] and [Result.Wipe], must be used by one
// goroutine at a time. No call blocks, except where VerifyPeer does.
package handshake
