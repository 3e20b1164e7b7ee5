package leaktest_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// failing is a testing.TB that notes errors and runs its cleanups when told.
type failing struct {
	testing.TB
	failed   bool
	cleanups []func()
}

func (f *failing) Helper()               {}
func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) Cleanup(c func())      { f.cleanups = append(f.cleanups, c) }

// end does what the end of a test does, without waiting for a leak to go away.
func (f *failing) end() {
	defer leaktest.SetSettleTime(50 * time.Millisecond)()
	for _, c := range f.cleanups {
		c()
	}
}

func TestCheckFindsNothing(t *testing.T) {
	f := &failing{TB: t}
	leaktest.Check(f)
	done := make(chan struct{})
	go close(done)
	<-done
	for _, c := range f.cleanups {
		c()
	}
	assert.False(t, f.failed)
}

func TestCheckFindsGoroutine(t *testing.T) {
	f := &failing{TB: t}
	leaktest.Check(f)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-stop
	}()
	f.end()
	close(stop)
	<-ended
	assert.True(t, f.failed)
}

func TestCheckFindsDescriptor(t *testing.T) {
	if leaktest.Descriptors() == nil {
		t.Skip("needs a list of descriptors: /proc or /dev/fd")
	}
	f := &failing{TB: t}
	leaktest.Check(f)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	f.end()
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())
	assert.True(t, f.failed)
}
