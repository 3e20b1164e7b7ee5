package handshake

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/sealport/sealport/keys"
)

const (
	// KeySize is the size of a send or receive key in bytes (ChaCha20-Poly1305).
	KeySize = 32

	// HashSize is the size of the handshake hash in bytes (BLAKE2b).
	HashSize = 64
)

// Result is the outcome of a handshake. Printing it does not show its secrets.
type Result struct {
	offer  Offer
	local  keys.PublicKey
	peer   keys.PublicKey
	limits Limits
	hash   [HashSize]byte

	// nil after TakeKeys or Wipe. It is a function, because fmt prints functions
	// as addresses even where it cannot call Format.
	secrets func() *secrets
}

type secrets struct {
	send, receive [KeySize]byte
}

// Offer returns the handshake that was completed.
func (r Result) Offer() Offer { return r.offer }

// Hash returns Noise's handshake hash (Noise §11.2). It is the same on both sides and
// unique to this handshake, so that applications can bind their own protocol to the
// channel. It is not secret.
func (r Result) Hash() [HashSize]byte { return r.hash }

// PeerStatic returns the peer's static key, which the peer has proved to hold and
// VerifyPeer has accepted. ok is false if the peer has none in this pattern.
func (r Result) PeerStatic() (key keys.PublicKey, ok bool) { return r.peer, !r.peer.IsZero() }

// LocalStatic returns this side's static key as the peer knows it: of a responder with
// two keys the one that was used. ok is false if this side has none in this pattern.
func (r Result) LocalStatic() (key keys.PublicKey, ok bool) { return r.local, !r.local.IsZero() }

// PeerLimits returns the Limits of the peer's [Config].
func (r Result) PeerLimits() Limits { return r.limits }

// TakeKeys copies the keys for the two directions to the caller's arrays, which the
// caller should clear, and clears its own copies. The peer opens with its receive key
// what this side seals with send. Nonces begin at 0. It panics if the keys were taken
// or wiped before: zeros must not be used as keys.
func (r *Result) TakeKeys(send, receive *[KeySize]byte) {
	if r.secrets == nil {
		panic("handshake: the keys were already taken or wiped")
	}
	*send, *receive = r.secrets().send, r.secrets().receive
	r.Wipe()
}

// Wipe clears the keys. The other methods still work. Wipe is idempotent.
func (r *Result) Wipe() {
	if r.secrets != nil {
		*r.secrets() = secrets{}
		r.secrets = nil
	}
}

// String describes r without its secrets.
func (r Result) String() string {
	peer := "anonymous"
	if key, ok := r.PeerStatic(); ok {
		peer = key.Fingerprint()
	}
	return fmt.Sprintf("handshake %v with %s", r.offer, peer)
}

// GoString returns the same as String.
func (r Result) GoString() string { return r.String() }

// Format writes the same as String for every verb.
func (r Result) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue returns the same as String.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }
