package secure

import (
	"context"
	"sync"
)

// halfOpen bounds the handshakes that are under way, per user and in total. Who
// finds no place waits for one, so that many honest clients at once are served
// one after the other, and a flood of one user keeps the others' places free.
type halfOpen struct {
	perUser int
	total   chan struct{}

	mu    sync.Mutex
	users map[uint32]*places
}

// places are those of one user.
type places struct {
	taken chan struct{}
	users int // of this struct: holders and waiters
}

func newHalfOpen(total, perUser int) *halfOpen {
	return &halfOpen{
		perUser: perUser,
		total:   make(chan struct{}, total),
		users:   make(map[uint32]*places),
	}
}

// enter waits for a place of the user's, then for one of all.
func (h *halfOpen) enter(ctx context.Context, uid uint32) (leave func(), err error) {
	p := h.use(uid)
	select {
	case p.taken <- struct{}{}:
	case <-ctx.Done():
		h.unuse(uid, p)
		return nil, ctx.Err()
	}
	free := func() {
		<-p.taken
		h.unuse(uid, p)
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

func (h *halfOpen) use(uid uint32) *places {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.users[uid]
	if p == nil {
		p = &places{taken: make(chan struct{}, h.perUser)}
		h.users[uid] = p
	}
	p.users++
	return p
}

func (h *halfOpen) unuse(uid uint32, p *places) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.users--; p.users == 0 {
		delete(h.users, uid)
	}
}
