package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Trust decides which keys a peer may have. Package secure asks it in every
// handshake, after the peer has proved that it holds the key and before anything is
// revealed to the peer.
//
// All methods may be called concurrently.
type Trust interface {
	// Verify returns nil if a peer at endpoint may have key, else an error that
	// says why not and should match [ErrUntrusted]. An error of the system's that
	// means that this process is out of descriptors or memory, such as
	// [syscall.EMFILE], is no refusal: package secure tells the client to try again,
	// and keeps established connections. Verify may block, on the disk or on the
	// user, until ctx ends. It must not remember key, because the handshake may still
	// fail: see [Learner].
	Verify(ctx context.Context, endpoint string, key PublicKey) error

	// OnRevoke arranges for revoked to be called once, as soon as this Trust
	// knows that Verify would now refuse key at endpoint. If it already would,
	// revoked is called before OnRevoke returns, so a key that was removed
	// between Verify and OnRevoke is not missed.
	//
	// revoked is called without locks held, on the goroutine that noticed the
	// removal. It must not block. cancel ends the subscription and may be called
	// several times; it does not wait for a call of revoked in progress. A
	// subscription uses memory until it is cancelled or called. OnRevoke does not
	// block and starts no goroutine.
	OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func())
}

// Expecter is implemented by a [Trust] that knows in advance which keys a host has.
// Patterns that need the host's key before the handshake begins (IK and NK) require
// it. With XX the client asks for the expected key, which matters for a host that is
// rotating its key.
type Expecter interface {
	// Expected returns the keys that Verify accepts for endpoint, the preferred
	// one first, in a new slice, which is empty if no key is known. It may block
	// on the disk.
	Expected(endpoint string) []PublicKey
}

// Learner is implemented by a [Trust] of clients that accepts keys which it does not know
// yet, and remembers them. A Trust that wraps a Learner must be one too.
type Learner interface {
	// Learn is called on a client when a handshake has succeeded at endpoint: the
	// host has proved that it holds key, which Verify has accepted, and the
	// pre-shared key if there is one, and it has accepted the client. An error ends
	// the connection before any message is sent. Learn may block, on the disk or on
	// the user, until ctx ends.
	Learn(ctx context.Context, endpoint string, key PublicKey) error
}

// Watcher is implemented by a [Trust] that reads its keys from a file. Without Watch
// new handshakes follow the file, but a connected peer whose key was removed stays
// connected until the next handshake or reload. Package secure runs Watch while there
// are connections; other programs that use a Trust run it themselves.
type Watcher interface {
	// Watch checks the file for changes at every interval (0 means
	// [DefaultWatchInterval]) and calls the subscribers of OnRevoke whose keys
	// were removed. It blocks until ctx ends and returns ctx's error, so run it in
	// a goroutine. failed, which may be nil, is called with the error of each
	// check that fails, and with nil by the first one after that which succeeds.
	Watch(ctx context.Context, interval time.Duration, failed func(error)) error
}

// ErrUntrusted matches the error of every Verify that refuses a key: see
// [UntrustedError], and [ErrTrustFile] for a file that cannot be used.
var ErrUntrusted = errors.New("keys: the peer's key is not trusted")

// UntrustedError is the error of every [Trust] of this package that refuses a key
// which it does not list. errors.Is holds for [ErrUntrusted]. Its text contains the
// whole key, in the form that an allow file takes; a public key is not secret.
type UntrustedError struct {
	Key      PublicKey
	File     string      // absolute path of the trust file, or "" for a Trust in memory
	Expected []PublicKey // of a [Pinned], the keys that it trusts, in place of Key
}

// Error names the key and, if there are such, the file or the keys that are expected.
func (e *UntrustedError) Error() string {
	switch {
	case len(e.Expected) > 0:
		return fmt.Sprintf("%v: it has the key %v, and Trust expects %v; if its key was replaced, let Trust expect the new one",
			ErrUntrusted, e.Key, strings.Trim(fmt.Sprint(e.Expected), "[]"))
	case e.File == "":
		return fmt.Sprintf("%v: %v", ErrUntrusted, e.Key)
	}
	return fmt.Sprintf("%v: %v is not in %s; to trust it, add a line with this key there", ErrUntrusted, e.Key, e.File)
}

// Unwrap returns [ErrUntrusted].
func (e *UntrustedError) Unwrap() error { return ErrUntrusted }

// Pinned is a [Trust] in a fixed set of keys, at any endpoint. Create one with [Pin].
type Pinned struct {
	keys []PublicKey
}

var (
	_ Trust    = (*Pinned)(nil)
	_ Expecter = (*Pinned)(nil)
)

// Pin returns a [Trust] in exactly these keys, which it copies, for clients that know
// the host's key. While the host rotates its key, pin the next key too; the first one
// is preferred. Without a key it trusts no peer.
func Pin(keys ...PublicKey) *Pinned { return &Pinned{keys: slices.Clone(keys)} }

// Verify returns nil for a pinned key, else an [*UntrustedError]. It does not block.
func (p *Pinned) Verify(_ context.Context, _ string, key PublicKey) error {
	if !contains(p.keys, key) {
		return &UntrustedError{Key: key, Expected: slices.Clone(p.keys)}
	}
	return nil
}

// OnRevoke implements [Trust]. It calls revoked at once if key is not pinned, else
// never, because the set is fixed.
func (p *Pinned) OnRevoke(_ string, key PublicKey, revoked func()) (cancel func()) {
	if !contains(p.keys, key) {
		revoked()
	}
	return func() {}
}

// Expected implements [Expecter]. It returns the pinned keys in the order given to
// [Pin], in a new slice.
func (p *Pinned) Expected(string) []PublicKey { return slices.Clone(p.keys) }

// contains compares with all keys in constant time. It never finds a zero key.
func contains(keys []PublicKey, key PublicKey) bool {
	found := false
	for _, k := range keys {
		if k.Equal(key) {
			found = true
		}
	}
	return found
}

// AllowList is a [Trust] in the keys that it contains, at any endpoint. It can be
// changed while it is in use. Create one with [Allow]; the zero value is empty.
type AllowList struct {
	mu   sync.Mutex
	keys map[PublicKey]struct{}
	subs subscriptions
}

var _ Trust = (*AllowList)(nil)

// Allow returns a [Trust] in these keys, for hosts that know their clients. Without a
// key it trusts no peer until [AllowList.Add] is called.
func Allow(keys ...PublicKey) *AllowList {
	l := &AllowList{}
	l.Add(keys...)
	return l
}

// Add adds keys. Zero keys are ignored. It does not block.
func (l *AllowList) Add(keys ...PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = make(map[PublicKey]struct{}, len(keys))
	}
	for _, k := range keys {
		if !k.IsZero() {
			l.keys[k] = struct{}{}
		}
	}
}

// Remove removes keys and calls their subscribers of [AllowList.OnRevoke], which ends
// their connections. It returns after those calls, and does not block otherwise.
func (l *AllowList) Remove(keys ...PublicKey) {
	l.mu.Lock()
	for _, k := range keys {
		delete(l.keys, k)
	}
	revoked := l.subs.takeRevokedLocked(l.validLocked)
	l.mu.Unlock()
	callAll(revoked)
}

// Verify returns nil for a key in the list, else an [*UntrustedError]. It does not
// block.
func (l *AllowList) Verify(_ context.Context, _ string, key PublicKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.validLocked("", key) {
		return &UntrustedError{Key: key}
	}
	return nil
}

// OnRevoke implements [Trust].
func (l *AllowList) OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func()) {
	return l.subs.add(&l.mu, l.validLocked, endpoint, key, revoked)
}

func (l *AllowList) validLocked(_ string, key PublicKey) bool {
	_, ok := l.keys[key]
	return ok
}
