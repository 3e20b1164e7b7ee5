package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Trust decides which keys may be at the other end. Package secure asks it in
// every handshake, after the peer has proved that it holds the key and before
// anything is revealed to it.
//
// Implementations are safe for concurrent use.
type Trust interface {
	// Verify returns nil if key may speak for a peer at endpoint, else an error
	// that says why not; it should match ErrUntrusted. It may block, on the disk
	// or on the user, until ctx ends.
	Verify(ctx context.Context, endpoint string, key PublicKey) error

	// OnRevoke arranges for revoked to be called once, as soon as this Trust
	// knows that Verify would now refuse key at endpoint. If it would already,
	// revoked is called before OnRevoke returns: a key that was removed between
	// Verify and OnRevoke is not missed.
	//
	// revoked is called without locks, on the goroutine that learned of the
	// removal; it must not block. cancel gives up the subscription; it does not
	// wait for a call that is under way. Whoever subscribes must cancel, or be
	// called, for the memory to be freed. OnRevoke starts no goroutine.
	OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func())
}

// Expecter is implemented by a Trust that knows beforehand which key is at an
// endpoint. Patterns that need the host's key before they begin (IK and NK) can
// be used with such a Trust only, and with XX the client asks for that key, for
// the sake of hosts in rotation.
type Expecter interface {
	// Expected returns the keys that Verify accepts for endpoint, the preferred
	// one first, in a new slice. Empty if none is known.
	Expected(endpoint string) []PublicKey
}

// Watcher is implemented by a Trust whose source can change behind the program's
// back: a file. Without Watch new handshakes follow the source, but who is
// connected stays until somebody else connects or reloads.
type Watcher interface {
	// Watch looks for changes every interval (0: DefaultWatchInterval) until ctx
	// ends, whose error it returns, and calls those whose keys were revoked. It
	// blocks: whoever wants it runs it on a goroutine of his own. failed, which may
	// be nil, is called with the error of each look that fails.
	Watch(ctx context.Context, interval time.Duration, failed func(error)) error
}

// ErrUntrusted matches the error of every Verify that refuses a key: see
// [UntrustedError], and [ErrTrustFile] for a file that can't be used.
var ErrUntrusted = errors.New("keys: the peer's key is not trusted")

// UntrustedError is the error of every [Trust] of this package that refuses a key
// which it does not list. errors.Is holds for [ErrUntrusted]. Its text contains the
// whole key, in the form that an allow file takes; a public key is not secret.
type UntrustedError struct {
	Key  PublicKey
	File string // absolute path of the trust file, or "" for a Trust in memory
}

// Error names the key and, if there is one, the file.
func (e *UntrustedError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("%v: %v", ErrUntrusted, e.Key)
	}
	return fmt.Sprintf("%v: %v is not in %s; to trust it, add a line with this key there", ErrUntrusted, e.Key, e.File)
}

// Unwrap returns [ErrUntrusted].
func (e *UntrustedError) Unwrap() error { return ErrUntrusted }

// Pinned trusts a fixed set of keys at any endpoint. Make one with Pin.
type Pinned struct {
	keys []PublicKey
}

var (
	_ Trust    = (*Pinned)(nil)
	_ Expecter = (*Pinned)(nil)
)

// Pin returns a Trust in exactly these keys, for clients that know the host's
// key. Give the host's next key as well while it rotates; the first one is
// preferred. Without a key it trusts nobody.
func Pin(keys ...PublicKey) *Pinned { return &Pinned{keys: slices.Clone(keys)} }

// Verify returns nil for a pinned key, else an [*UntrustedError]. It does not block.
func (p *Pinned) Verify(_ context.Context, _ string, key PublicKey) error {
	if !contains(p.keys, key) {
		return &UntrustedError{Key: key}
	}
	return nil
}

// OnRevoke calls revoked at once if key is not pinned; else never, because the
// set is fixed.
func (p *Pinned) OnRevoke(_ string, key PublicKey, revoked func()) (cancel func()) {
	if !contains(p.keys, key) {
		revoked()
	}
	return func() {}
}

// Expected returns the pinned keys in the order given.
func (p *Pinned) Expected(string) []PublicKey { return slices.Clone(p.keys) }

// contains compares with all keys in constant time, and refuses zero keys.
func contains(keys []PublicKey, key PublicKey) bool {
	found := false
	for _, k := range keys {
		if k.Equal(key) {
			found = true
		}
	}
	return found
}

// AllowList trusts the keys that are in it, at any endpoint, and can be changed
// while it is used. Make one with Allow.
type AllowList struct {
	mu   sync.Mutex
	keys map[PublicKey]struct{}
	subs subscriptions
}

var _ Trust = (*AllowList)(nil)

// Allow returns a Trust in these keys, for hosts that know their clients. Without
// a key it trusts nobody until Add.
func Allow(keys ...PublicKey) *AllowList {
	l := &AllowList{keys: make(map[PublicKey]struct{}, len(keys))}
	l.Add(keys...)
	return l
}

// Add trusts further keys from now on. Zero keys are ignored. It does not block.
func (l *AllowList) Add(keys ...PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if !k.IsZero() {
			l.keys[k] = struct{}{}
		}
	}
}

// Remove trusts these keys no more, and calls those who subscribed to them by
// OnRevoke: their connections end. It returns after those calls.
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

// OnRevoke implements Trust.
func (l *AllowList) OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func()) {
	return l.subs.add(&l.mu, l.validLocked, endpoint, key, revoked)
}

func (l *AllowList) validLocked(_ string, key PublicKey) bool {
	_, ok := l.keys[key]
	return ok
}
