package fair_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/fair"
)

const stall = time.Second

// applicant is a process that waits for a slot.
type applicant struct {
	slot    *fair.Slot
	err     error
	entered atomic.Bool
	dropped atomic.Int64 // a time.Duration, since the test's begin
}

// slots are Slots in a synctest bubble.
type slots struct {
	*fair.Slots
	begin time.Time
}

func newSlots(l fair.Limits) *slots { return &slots{fair.NewSlots(l), time.Now()} }

// apply has a process wait for a slot.
func (s *slots) apply(ctx context.Context, who fair.Process) *applicant {
	a := &applicant{}
	go func() {
		a.slot, a.err = s.Enter(ctx, who, func() {
			a.dropped.Store(int64(time.Since(s.begin)))
			go a.slot.Leave() // as who has to go does
		})
		a.entered.Store(true)
	}()
	synctest.Wait()
	return a
}

// The next free slot is for the user who has the fewest, and there for the process that
// has the fewest.
func TestSlotsAreShared(t *testing.T) {
	for range often {
		synctest.Test(t, testSlotsAreShared)
	}
}

func testSlotsAreShared(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSlots(fair.Limits{Total: 3, PerUser: 2, Capacity: 100})
	first, second := s.apply(ctx, flooder), s.apply(ctx, flooder)
	flood := s.apply(ctx, flooder) // has two
	require.True(t, first.entered.Load() && second.entered.Load() && !flood.entered.Load())
	other := s.apply(ctx, another)
	require.True(t, other.entered.Load())
	others := s.apply(ctx, another) // three in all
	same, last := s.apply(ctx, sibling), s.apply(ctx, third)
	require.False(t, others.entered.Load() || same.entered.Load() || last.entered.Load())

	first.slot.Leave()
	synctest.Wait()
	require.True(t, last.entered.Load(), "its user has none")
	require.False(t, flood.entered.Load() || same.entered.Load() || others.entered.Load())
	last.slot.Leave()
	synctest.Wait()
	require.True(t, others.entered.Load() != same.entered.Load() || flood.entered.Load(), "one of two users with one each")
	require.True(t, others.entered.Load(), "it has waited longer than the sibling")
	other.slot.Leave()
	synctest.Wait()
	require.True(t, same.entered.Load(), "its process has none")
	require.False(t, flood.entered.Load())
	cancel()
	synctest.Wait()
	require.ErrorIs(t, flood.err, context.Canceled)
	for _, a := range []*applicant{second, others, same} {
		a.slot.Leave()
		a.slot.Leave() // counts once
	}
	for range 2 {
		require.True(t, s.apply(t.Context(), flooder).entered.Load(), "all are free again")
	}
}

// Slots that are kept count for Capacity only, and who waits hears that none is left.
func TestKeptSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newSlots(fair.Limits{Total: 2, PerUser: 1, Capacity: 2})
		first, second := s.apply(ctx, flooder), s.apply(ctx, flooder)
		require.False(t, second.entered.Load())
		first.slot.Keep()
		synctest.Wait()
		require.True(t, second.entered.Load())
		third := s.apply(ctx, another)
		require.False(t, third.entered.Load(), "it may be the last")
		second.slot.Keep()
		synctest.Wait()
		require.ErrorIs(t, third.err, fair.ErrFull)
		require.ErrorIs(t, s.apply(ctx, another).err, fair.ErrFull)
		first.slot.Leave()
		require.NoError(t, s.apply(ctx, another).err)
	})
}

// A holder that stalls makes way for another user, or for another process of the user,
// and not for more of its own.
func TestStalledSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newSlots(fair.Limits{Total: 3, PerUser: 2, Capacity: 100, Stall: stall})
		patience, lose := context.WithCancel(ctx)
		first, second, more := s.apply(ctx, flooder), s.apply(ctx, flooder), s.apply(patience, flooder)
		time.Sleep(2 * stall)
		synctest.Wait()
		require.Zero(t, time.Duration(first.dropped.Load())+time.Duration(second.dropped.Load()), "only its own process waits")
		require.False(t, more.entered.Load())

		same := s.apply(ctx, sibling)
		require.True(t, same.entered.Load())
		assert.Equal(t, 2*stall, time.Duration(first.dropped.Load()), "the oldest, at once")
		require.Zero(t, time.Duration(second.dropped.Load()))
		require.False(t, more.entered.Load())

		other, another := s.apply(ctx, another), s.apply(ctx, third)
		require.True(t, other.entered.Load())
		require.True(t, another.entered.Load(), "of the user with the most")
		assert.Equal(t, 2*stall, time.Duration(second.dropped.Load()))

		lose()
		last := s.apply(ctx, third)
		time.Sleep(stall)
		synctest.Wait()
		require.False(t, last.entered.Load(), "each user has one")
		require.Zero(t, time.Duration(same.dropped.Load())+time.Duration(other.dropped.Load())+time.Duration(another.dropped.Load()))
		same.slot.Leave()
	})
}

// A holder has time to finish.
func TestSlotsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(fair.Limits{Total: 1, PerUser: 1, Capacity: 1, Stall: stall})
		first := s.apply(t.Context(), flooder)
		time.Sleep(stall / 2)
		other := s.apply(t.Context(), another)
		require.False(t, other.entered.Load())
		time.Sleep(stall)
		synctest.Wait()
		require.True(t, other.entered.Load())
		assert.Equal(t, stall, time.Duration(first.dropped.Load()))
		other.slot.Keep()
	})
}

// A holder of a user that has more goes also if its process has no more than the one that
// waits. It goes once, however long it takes.
func TestStalledSlotsAreDroppedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fair.NewSlots(fair.Limits{Total: 3, PerUser: 2, Capacity: 100, Stall: stall})
		drops := make(map[fair.Process]int)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		enter := func(who fair.Process) *fair.Slot {
			slot, err := s.Enter(ctx, who, func() { drops[who]++ })
			require.NoError(t, err)
			return slot
		}
		first := enter(flooder)
		enter(sibling)
		enter(another)
		wait := func(who fair.Process) {
			go func() { _, _ = s.Enter(ctx, who, func() {}) }()
			synctest.Wait()
		}
		wait(another)
		time.Sleep(stall)
		synctest.Wait()
		require.Equal(t, map[fair.Process]int{flooder: 1}, drops, "the oldest of the user with two")
		wait(another) // behind the other
		wait(flooder) // its process has as many
		time.Sleep(2 * stall)
		synctest.Wait()
		require.Equal(t, map[fair.Process]int{flooder: 1}, drops, "it is on its way out")
		first.Leave()
		synctest.Wait()
		time.Sleep(2 * stall)
		synctest.Wait()
		require.Equal(t, map[fair.Process]int{flooder: 1, another: 1}, drops, "now its user has more")
	})
}

// Who waits has one holder go, however many its process has, and who waits as well has
// another one go.
func TestStalledSlotsOfOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fair.NewSlots(fair.Limits{Total: 3, PerUser: 3, Capacity: 100, Stall: stall})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		drops := 0
		for range 3 {
			_, err := s.Enter(ctx, flooder, func() { drops++ })
			require.NoError(t, err)
		}
		for i, who := range []fair.Process{another, another, third, third} {
			go func() { _, _ = s.Enter(ctx, who, func() {}) }()
			synctest.Wait()
			time.Sleep(2 * stall)
			synctest.Wait()
			require.Equal(t, 1+i/2, drops)
		}
	})
}
