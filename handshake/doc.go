// Package handshake lets two processes agree on fresh keys and prove who they
// are: Noise (revision 34) by flynn/noise, made hybrid with ML-KEM-768, and bound
// to the endpoint's name and to both processes as the kernel knows them.
//
// A State is bytes in, bytes out: it does no I/O, starts no goroutine and knows no
// time. Package secure carries its messages and bounds how long and how often.
// docs/HANDSHAKE.md describes every byte and argues for the construction.
//
//	Pattern  messages  the client knows the host's key  the client is
//	XX       3         afterwards (or pinned)           known, its key hidden
//	IK       2         before                           known, its key hidden
//	NK       2         before                           anonymous
//	NN       2         no; both know a secret           anyone with the secret
//
// Choose XX unless you must save half a round trip (IK), have clients without
// keys (NK), or have nothing but a shared secret (NN).
//
// # Guarantees
//
// When both sides are Done they have the same Hash and keys that nobody else has,
// each knows the other's static key where the pattern has one, and both had the
// same Config: version, pattern, hybrid or not, PSK, endpoint, both identities and
// binding. A side completes only if every byte arrived as it was sent; any
// error is final, and a State that failed gives no keys. XX, IK and NK stay secret
// from whoever records now and breaks X25519 later, unless Classical is set.
//
// # No guarantees
//
// Authentication is classical: it falls to an attacker who can break X25519 while
// the handshake runs. The static keys that travel (XX and IK) are hidden by
// X25519 alone. A first message may be a replay: of IK, NK and NN by the very process
// that sent it, unless Binding has something fresh from the responder. What must
// not happen twice waits for a later message or the first record.
package handshake
