package secure

import (
	"context"
	"sync"
)

// halfOpen limits the handshakes in progress, per user and in total. A client
// that finds no free slot waits for one, so that many honest clients at once are
// served one after the other, and a flood from one user leaves slots for others.
type halfOpen struct {
	perUser int
	total   chan struct{}

	mu    sync.Mutex
	users map[uint32]*slots
}

// slots are those of one user.
type slots struct {
	used chan struct{}
	refs int // holders and waiters
}

func newHalfOpen(total, perUser int) *halfOpen {
	return &halfOpen{
		perUser: perUser,
		total:   make(chan struct{}, total),
		users:   make(map[uint32]*slots),
	}
}

// enter waits for one of the user's slots, then for one of the total.
func (h *halfOpen) enter(ctx context.Context, uid uint32) (leave func(), err error) {
	s := h.acquire(uid)
	select {
	case s.used <- struct{}{}:
	case <-ctx.Done():
		h.release(uid, s)
		return nil, ctx.Err()
	}
	free := func() {
		<-s.used
		h.release(uid, s)
	}
	select {
	case h.total <- struct{}{}:
	case <-ctx.Done():
		free()
		return nil, ctx.Err()
	}
	return func() {
		<-h.total
		free()
	}, nil
}

// acquire adds a reference to the user's slots.
func (h *halfOpen) acquire(uid uint32) *slots {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.users[uid]
	if s == nil {
		s = &slots{used: make(chan struct{}, h.perUser)}
		h.users[uid] = s
	}
	s.refs++
	return s
}

// release drops a reference, and the slots with the last one.
func (h *halfOpen) release(uid uint32, s *slots) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.refs--; s.refs == 0 {
		delete(h.users, uid)
	}
}
