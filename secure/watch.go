package secure

import (
	"context"
	"reflect"
	"sync"

	"github.com/sealport/sealport/keys"
)

// Connections whose Trust is a file check that file once a second, so that removing
// a key ends them even if no client connects. All connections with the same Trust
// share one goroutine, which ends with the last of them.
var watches = struct {
	mu   sync.Mutex
	live map[keys.Watcher]*watch
}{live: make(map[keys.Watcher]*watch)}

type watch struct {
	users  int
	cancel context.CancelFunc
	ended  chan struct{}
}

// watchTrust watches trust until release is called, which waits for the goroutine
// if it was the last user's. It does nothing for a Trust that is not a Watcher.
func watchTrust(trust keys.Trust) (release func()) {
	w, ok := trust.(keys.Watcher)
	if !ok || !reflect.ValueOf(w).Comparable() {
		return func() {}
	}
	watches.mu.Lock()
	defer watches.mu.Unlock()
	shared := watches.live[w]
	if shared == nil {
		ctx, cancel := context.WithCancel(context.Background())
		shared = &watch{cancel: cancel, ended: make(chan struct{})}
		watches.live[w] = shared
		go func() {
			defer close(shared.ended)
			// A file that can't be read accepts no new peer and ends no
			// connection; Verify reports it to the next peer.
			_ = w.Watch(ctx, 0, nil)
		}()
	}
	shared.users++
	return func() { shared.release(w) }
}

func (s *watch) release(w keys.Watcher) {
	watches.mu.Lock()
	s.users--
	last := s.users == 0
	if last {
		delete(watches.live, w)
	}
	watches.mu.Unlock()
	if last {
		s.cancel()
		<-s.ended
	}
}
