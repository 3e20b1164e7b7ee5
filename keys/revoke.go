package keys

import "sync"

// subscriptions holds the callbacks for revoked keys. It is guarded by the mutex of
// the Trust that owns it, together with the keys, so that no key is revoked between
// the check and the subscription.
type subscriptions struct {
	byKey map[subscribedKey]map[*subscription]struct{}
}

type subscribedKey struct {
	endpoint string
	key      PublicKey
}

type subscription struct {
	revoked func()
}

// add subscribes, or calls revoked at once if the key is not valid. It locks mu.
func (s *subscriptions) add(mu *sync.Mutex, valid func(string, PublicKey) bool, endpoint string, key PublicKey, revoked func()) (cancel func()) {
	mu.Lock()
	if !valid(endpoint, key) {
		mu.Unlock()
		revoked()
		return func() {}
	}
	defer mu.Unlock()
	// A pointer distinguishes subscriptions that are otherwise the same: two
	// connections of one client, one of which is cancelled.
	at, sub := subscribedKey{endpoint, key}, &subscription{revoked}
	if s.byKey == nil {
		s.byKey = make(map[subscribedKey]map[*subscription]struct{})
	}
	if s.byKey[at] == nil {
		s.byKey[at] = make(map[*subscription]struct{})
	}
	s.byKey[at][sub] = struct{}{}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(s.byKey[at], sub)
		if len(s.byKey[at]) == 0 {
			delete(s.byKey, at)
		}
	}
}

// takeRevokedLocked removes and returns the subscriptions to keys that are no longer
// valid. The caller passes them to callAll after it has unlocked the mutex.
func (s *subscriptions) takeRevokedLocked(valid func(string, PublicKey) bool) (revoked []*subscription) {
	for at, subs := range s.byKey {
		if valid(at.endpoint, at.key) {
			continue
		}
		for sub := range subs {
			revoked = append(revoked, sub)
		}
		delete(s.byKey, at)
	}
	return revoked
}

func callAll(subs []*subscription) {
	for _, sub := range subs {
		sub.revoked()
	}
}
