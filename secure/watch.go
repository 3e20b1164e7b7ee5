package secure

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn/rendezvous"
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
	connections map[observer]int // of each
	problem     string           // of the file, as told last; "" if there is none
	cancel      context.CancelFunc
	ended       chan struct{}
}

// watchTrust watches trust for a connection, until release is called, which waits for the
// goroutine if it was the last connection's. It does nothing for a Trust that is not a
// Watcher.
func watchTrust(trust keys.Trust, of observer) (release func()) {
	w, ok := trust.(keys.Watcher)
	if !ok || !reflect.ValueOf(w).Comparable() {
		return func() {}
	}
	watches.mu.Lock()
	defer watches.mu.Unlock()
	shared := watches.live[w]
	if shared == nil {
		ctx, cancel := context.WithCancel(context.Background())
		shared = &watch{connections: make(map[observer]int), cancel: cancel, ended: make(chan struct{})}
		watches.live[w] = shared
		go func() {
			defer close(shared.ended)
			_ = w.Watch(ctx, 0, shared.checked)
		}()
	}
	shared.connections[of]++
	return func() { shared.release(w, of) }
}

func (s *watch) release(w keys.Watcher, of observer) {
	watches.mu.Lock()
	if s.connections[of]--; s.connections[of] == 0 {
		delete(s.connections, of)
	}
	last := len(s.connections) == 0
	if last {
		delete(watches.live, w)
	}
	watches.mu.Unlock()
	if last {
		s.cancel()
		<-s.ended
	}
}

// checked is called with the error of each check of the file, and with nil when there is
// none any more. It tells each problem once.
func (s *watch) checked(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	watches.mu.Lock()
	var tell []observer
	if problem != s.problem {
		s.problem = problem
		for of := range s.connections {
			tell = append(tell, of)
		}
	}
	watches.mu.Unlock()
	for _, of := range tell {
		of.trustChecked(err)
	}
}

// observer is a host or client with connections whose Trust is watched.
type observer struct {
	*security
	endpoint string
}

// trustChecked reports that the trust file cannot be used, or can again. A file that cannot
// be used ends no connection, so that the keys that were removed are not revoked either.
func (o observer) trustChecked(err error) {
	log := o.Transport.Logger
	err = rendezvous.Explain(err)
	switch {
	case err == nil && log != nil:
		log.Info("trust file can be used again", "endpoint", o.endpoint)
	case err == nil:
	case log == nil:
	case o.role == handshake.Responder:
		log.Warn("trust file cannot be used: no client is accepted, and none that is connected is revoked, until it is corrected",
			"endpoint", o.endpoint, "err", err)
	default:
		log.Warn("trust file cannot be used: this client cannot reconnect, and its host is not revoked, until it is corrected",
			"endpoint", o.endpoint, "err", err)
	}
	if err != nil && o.Transport.OnError != nil {
		o.Transport.OnError(fmt.Errorf("endpoint %q: %w", o.endpoint, err))
	}
}
