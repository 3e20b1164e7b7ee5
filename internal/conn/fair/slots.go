package fair

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull means that as many slots are kept as there are.
var ErrFull = errors.New("no slot is left")

// Limits are those of Slots.
type Limits struct {
	Total    int // slots in use at a time
	PerUser  int // of these, for one user
	Capacity int // slots in use or kept

	// Stall is for how long a slot may be in use while a process that has fewer waits
	// for one, or a user that has fewer: then its holder is dropped. 0: for ever.
	Stall time.Duration
}

// Slots are slots for clients that are being set up. One that finds none free waits. The
// next free one is for the user who uses the fewest, there for the process that uses the
// fewest, and there for who waits longest. All methods may be called concurrently.
type Slots struct {
	limits Limits

	mu      sync.Mutex
	seq     uint64
	waiting crowd[*Slot]
	inUse   crowd[*Slot]
	kept    int
	timer   *time.Timer // calls share when the next holder may be dropped
}

// Slot is one client's slot.
type Slot struct {
	place
	slots *Slots
	drop  func()
	ready chan struct{} // closed when the slot is in use, or err is set
	err   error         // ErrFull
	since time.Time     // when it was taken into use
	kept  bool
	claim *Slot // that this one, which waits, had dropped
}

// NewSlots returns slots of which none is in use.
func NewSlots(limits Limits) *Slots { return &Slots{limits: limits} }

// Enter waits for a slot, until ctx ends (ctx.Err()). It returns ErrFull as soon as as
// many are kept as there are. drop is called if the holder has to give the slot up, which
// it does by Leave; it must not block.
func (s *Slots) Enter(ctx context.Context, who Process, drop func()) (*Slot, error) {
	slot := &Slot{place: place{who: who}, slots: s, drop: drop, ready: make(chan struct{})}
	s.mu.Lock()
	s.seq++
	slot.seq = s.seq
	s.waiting.add(slot)
	s.shareLocked()
	s.mu.Unlock()
	select {
	case <-slot.ready:
		return slot, slot.err
	case <-ctx.Done():
		slot.Leave()
		return nil, ctx.Err()
	}
}

// Keep keeps a slot that is in use for as long as the client is connected: it counts for
// Capacity only.
func (t *Slot) Keep() {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse.remove(t)
	s.kept++
	t.kept = true
	s.shareLocked()
}

// Leave gives a slot back, kept or not. Idempotent.
func (t *Slot) Leave() {
	s := t.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.kept:
		t.kept = false
		s.kept--
	case t.since.IsZero():
		s.waiting.remove(t)
	default:
		s.inUse.remove(t)
	}
	s.shareLocked()
}

// shareLocked hands out the slots that are free, and sees to it that those who wait do not
// wait for holders that stall.
func (s *Slots) shareLocked() {
	for s.waiting.n > 0 {
		if s.kept >= s.limits.Capacity {
			for _, u := range s.waiting.users {
				for next := s.nextOf(u); next != nil; next = s.nextOf(u) {
					next.err = ErrFull
					s.waiting.remove(next)
					close(next.ready)
				}
			}
			break
		}
		next := s.next()
		if next == nil || s.noneFree() {
			break
		}
		s.waiting.remove(next)
		s.inUse.add(next)
		next.since = time.Now()
		close(next.ready)
	}
	s.dropStalledLocked()
}

func (s *Slots) noneFree() bool {
	return s.inUse.n >= s.limits.Total || s.inUse.n+s.kept >= s.limits.Capacity
}

// next is who gets the next slot, of the users that may have one more, or nil.
func (s *Slots) next() (next *Slot) {
	for uid, u := range s.waiting.users {
		n := s.inUse.of(uid)
		if n >= s.limits.PerUser {
			continue
		}
		first := s.nextOf(u)
		if next == nil || n < s.inUse.of(next.who.UID) || n == s.inUse.of(next.who.UID) && first.seq < next.seq {
			next = first
		}
	}
	return next
}

// nextOf is who gets the next slot of a user's, or nil if nobody of it waits.
func (s *Slots) nextOf(u *user[*Slot]) (next *Slot) {
	for _, p := range u.processes {
		first := p.oldest()
		if next == nil {
			next = first
			continue
		}
		n, least := s.inUse.ofProcess(first.who), s.inUse.ofProcess(next.who)
		if n < least || n == least && first.seq < next.seq {
			next = first
		}
	}
	return next
}

// dropStalledLocked drops a holder for the first who waits of each user, if there is one
// to drop, and sets the timer for those that may be dropped later.
func (s *Slots) dropStalledLocked() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.limits.Stall == 0 {
		return
	}
	soonest := time.Duration(-1)
	for _, u := range s.waiting.users {
		first := s.nextOf(u)
		if first.claim != nil && first.claim.elem != nil {
			continue // on its way out
		}
		out := s.holderFor(first)
		if out == nil {
			continue
		}
		if rest := s.limits.Stall - time.Since(out.since); rest > 0 {
			if soonest < 0 || rest < soonest {
				soonest = rest
			}
			continue
		}
		first.claim = out
		drop := out.drop
		out.drop = nil
		drop()
	}
	if soonest >= 0 {
		s.timer = time.AfterFunc(soonest, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dropStalledLocked()
		})
	}
}

// holderFor is the holder that goes first in favour of one who waits, or nil: the oldest
// of the process that has the most slots in use, of the user that has the most, if that is
// more than this one's.
func (s *Slots) holderFor(w *Slot) *Slot {
	from := s.inUse.users[w.who.UID]
	if s.inUse.of(w.who.UID) < s.limits.PerUser {
		from = s.inUse.largest(w.who.UID)
	}
	if from == nil {
		return nil
	}
	p := from.largest()
	if from.uid == w.who.UID && p.members.Len() <= s.inUse.ofProcess(w.who) {
		return nil
	}
	for out := range p.all() {
		if out.drop != nil {
			return out
		}
	}
	return nil
}
