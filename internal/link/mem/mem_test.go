package mem_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/mem"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A frame counts as unacknowledged until the reader asks for the next one, also
// while several lie in its private memory.
func TestUnacknowledgedIsExact(t *testing.T) {
	a, b := mem.Pair()
	defer a.Close()
	defer b.Close()
	ctx := context.Background()
	const frames = 100
	for range frames {
		require.NoError(t, a.WriteFrame(ctx, nil, []byte("frame")))
	}
	for i := range frames {
		require.EqualValues(t, frames-max(0, i-1), a.Unacknowledged())
		_, err := b.ReadFrame(ctx)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, a.Unacknowledged())
	require.NoError(t, b.Close())
	<-a.Gone().Done()
	assert.True(t, a.HungUp())
	assert.EqualValues(t, 1, a.Unacknowledged(), "the last one was not dealt with")
	require.NoError(t, a.Close())
	assert.EqualValues(t, 1, a.Unacknowledged(), "after Close")
}

func TestNoCredentials(t *testing.T) {
	a, b := mem.Pair()
	assert.Nil(t, a.Credentials())
	assert.Nil(t, b.Credentials())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

func TestNoAllocations(t *testing.T) {
	a, b := mem.Pair()
	defer a.Close()
	defer b.Close()
	ctx, head := context.Background(), []byte("head")
	for _, size := range []int{0, 64, mem.MaxFrame - len(head)} {
		body := make([]byte, size)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if err := a.WriteFrame(ctx, head, body); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadFrame(ctx); err != nil {
				t.Fatal(err)
			}
		}))
	}
	assert.Equal(t, mem.MaxFrame, a.MaxFrame())
	assert.False(t, a.SyscallPerFrame())
}
