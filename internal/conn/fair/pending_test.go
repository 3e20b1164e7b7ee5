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
func (w *waiting) said(who fair.Process, name string) *fair.Client {
	c := w.enter(who, name)
	c.Spoke(func() { w.gone = append(w.gone, name+" spoke") })
	return c
}

var (
	flooder = fair.Process{UID: 1, PID: 10}
	sibling = fair.Process{UID: 1, PID: 11}
	another = fair.Process{UID: 2, PID: 20}
	third   = fair.Process{UID: 3, PID: 30}
)

// One too many of a user displaces the oldest silent one of the process with the most, or
// the newest that waits; one that is served stays.
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
	last := w.said(flooder, "fifth")
	assert.Equal(t, []string{"second", "third", "fourth"}, w.gone)
	w.said(flooder, "sixth") // the others have said their hello: it has to go, first and last
	assert.Equal(t, []string{"second", "third", "fourth", "sixth", "sixth spoke"}, w.gone)
	last.Serve(true)
	w.said(flooder, "seventh")
	w.said(sibling, "sibling's second")
	assert.Equal(t, []string{"seventh", "seventh spoke", "sibling"}, w.gone[5:], "both processes have as many, and it is the oldest")
	w.said(sibling, "sibling's third")
	last.Serve(false)
}

// One that is served stays also where its process has the most, and the newest that waits
// goes.
func TestPendingWhileServed(t *testing.T) {
	for name, row := range map[string]struct {
		serve []bool
		gone  string
	}{
		"waits":         {nil, "second spoke"},
		"served":        {[]bool{true}, "first spoke"},
		"waits again":   {[]bool{true, false}, "second spoke"},
		"served again":  {[]bool{true, false, true}, "first spoke"},
		"waits, served": {[]bool{false, true}, "first spoke"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &waiting{Pending: fair.NewPending(100, 2)}
			w.said(sibling, "first")
			second := w.said(sibling, "second")
			for _, on := range row.serve {
				second.Serve(on)
			}
			w.enter(flooder, "third")
			require.Equal(t, []string{row.gone}, w.gone)
		})
	}
}

// often is how often a test is repeated whose outcome would depend on the order of a map.
const often = 20

// One too many in total displaces one of the user with the most, or of its own if that has
// as many.
func TestPendingInTotal(t *testing.T) {
	for range often {
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
}

// Who comes can wait until the one that it displaces has gone, or has said its hello.
func TestPendingMoved(t *testing.T) {
	w := &waiting{Pending: fair.NewPending(1, 1)}
	closed := func(moved <-chan struct{}) bool {
		select {
		case <-moved:
			return true
		default:
			return false
		}
	}
	first, none := w.Enter(flooder, func() {})
	require.Nil(t, none)
	second, moved := w.Enter(flooder, func() {})
	require.False(t, closed(moved))
	first.Leave()
	require.True(t, closed(moved))

	third, moved := w.Enter(flooder, func() {})
	require.False(t, closed(moved))
	second.Spoke(func() {}) // and is in again, in place of the third
	require.True(t, closed(moved))
	third.Leave()
	_, moved = w.Enter(flooder, func() {}) // which is silent, and has to go itself
	require.False(t, closed(moved))
	second.Leave()
	require.False(t, closed(moved))
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
