package fair_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// waiting is a Pending, and who had to go.
type waiting struct {
	*fair.Pending
	gone []string
}

func (w *waiting) enter(who fair.Process, name string) *fair.Client {
	c, _ := w.Enter(who, func() { w.gone = append(w.gone, name) })
	return c
}

// said is enter for a client that says its hello.
func (w *waiting) said(who fair.Process, name string) {
	w.enter(who, name).Spoke(func() { w.gone = append(w.gone, name+" spoke") })
}

var (
	flooder = fair.Process{UID: 1, PID: 10}
	sibling = fair.Process{UID: 1, PID: 11}
	another = fair.Process{UID: 2, PID: 20}
	third   = fair.Process{UID: 3, PID: 30}
)

// One too many of a user displaces the oldest silent one of the process with the most.
func TestPendingOfOneUser(t *testing.T) {
	w := &waiting{Pending: fair.NewPending(100, 3)}
	w.enter(sibling, "sibling")
	w.said(flooder, "first")
	w.enter(flooder, "second")
	w.enter(another, "another")
	require.Empty(t, w.gone)
	w.enter(flooder, "third")
	w.enter(flooder, "fourth")
	assert.Equal(t, []string{"second", "third"}, w.gone)
	w.said(flooder, "fifth")
	assert.Equal(t, []string{"second", "third", "fourth"}, w.gone)
	w.said(flooder, "sixth") // displaces itself: the others have said their hello, and so is in again
	assert.Equal(t, []string{"second", "third", "fourth", "sixth", "first spoke"}, w.gone)
	w.enter(sibling, "sibling's second")
	assert.Equal(t, "sibling", w.gone[len(w.gone)-1], "both processes have as many, and it is the oldest")
}

// One too many in total displaces one of the user with the most, or of its own if that has
// as many.
func TestPendingInTotal(t *testing.T) {
	w := &waiting{Pending: fair.NewPending(4, 3)}
	for _, name := range []string{"first", "second", "third"} {
		w.enter(flooder, name)
	}
	c := w.enter(another, "another")
	require.Empty(t, w.gone)
	w.enter(another, "another's second")
	assert.Equal(t, []string{"first"}, w.gone)
	c.Leave()
	c.Leave() // counts once
	w.enter(third, "of a third user")
	assert.Equal(t, []string{"first"}, w.gone)
	w.enter(another, "another's third")
	assert.Equal(t, []string{"first", "another's second"}, w.gone)
}

// Who is dropped knows at once that nobody waits for it.
func TestPendingMoved(t *testing.T) {
	w := &waiting{Pending: fair.NewPending(1, 1)}
	first := w.enter(flooder, "first")
	_, dropped := w.Enter(flooder, func() {})
	require.Same(t, first, dropped)
	select {
	case <-dropped.Moved():
		t.Error("it has not said anything yet")
	default:
	}
	first.Leave()
	<-dropped.Moved()

	_, second := w.Enter(flooder, func() {})
	second.Spoke(func() {})
	<-second.Moved()
}

// MakeRoom drops half of the silent ones of the user with the most, rounded up.
func TestMakeRoom(t *testing.T) {
	w := &waiting{Pending: fair.NewPending(100, 100)}
	w.MakeRoom()
	w.enter(another, "another")
	w.said(flooder, "spoke")
	for _, name := range []string{"1", "2", "3"} {
		w.enter(flooder, name)
	}
	w.MakeRoom()
	assert.Equal(t, []string{"1", "2"}, w.gone)
	w.MakeRoom()
	assert.Equal(t, []string{"1", "2", "3"}, w.gone)
}
