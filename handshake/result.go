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

// Result is what both sides agreed on. It prints without its secrets. TakeKeys
// and Wipe may not be called concurrently with each other.
type Result struct {
	offer  Offer
	local  keys.PublicKey
	peer   keys.PublicKey
	limits Limits
	hash   [HashSize]byte

	// nil once they were taken or wiped. A function, because fmt prints those as
	// addresses even where it can't call Format.
	secrets func() *secrets
}

type secrets struct {
	send, receive [KeySize]byte
}

// Offer is the handshake that was done.
func (r Result) Offer() Offer { return r.offer }

// Hash is Noise's handshake hash (Noise §11.2): the same on both sides and never
// the same again, to bind what applications do above the channel to it. It is not
// a secret.
func (r Result) Hash() [HashSize]byte { return r.hash }

// PeerStatic is the peer's static key, which it proved to hold and which
// VerifyPeer accepted; ok is false where the pattern gives the peer none.
func (r Result) PeerStatic() (key keys.PublicKey, ok bool) { return r.peer, !r.peer.IsZero() }

// LocalStatic is the key by which the peer knows this side: of a responder in
// rotation the one that was used. ok is false where the pattern gives it none.
func (r Result) LocalStatic() (key keys.PublicKey, ok bool) { return r.local, !r.local.IsZero() }

// PeerLimits are the limits that the peer told.
func (r Result) PeerLimits() Limits { return r.limits }

// TakeKeys copies out the keys for the two directions and clears its own: what
// this side seals with send, the peer opens with its receive. Nonces begin at 0. The
// arrays are the caller's to clear. Call it once: the second time, or after Wipe,
// it panics, because zeros would be taken for keys.
func (r *Result) TakeKeys(send, receive *[KeySize]byte) {
	if r.secrets == nil {
		panic("handshake: the keys were already taken or wiped")
	}
	*send, *receive = r.secrets().send, r.secrets().receive
	r.Wipe()
}

// Wipe clears the keys. The rest stays. Idempotent.
func (r *Result) Wipe() {
	if r.secrets != nil {
		*r.secrets() = secrets{}
		r.secrets = nil
	}
}

// String describes the Result without its secrets.
func (r Result) String() string {
	peer := "anonymous"
	if key, ok := r.PeerStatic(); ok {
		peer = key.Fingerprint()
	}
	return fmt.Sprintf("handshake %v with %s", r.offer, peer)
}

// GoString is String.
func (r Result) GoString() string { return r.String() }

// Format writes String, whatever the verb.
func (r Result) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }
