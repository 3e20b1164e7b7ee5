package mem_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mem"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConformance(t *testing.T) {
	linktest.Run(t, linktest.Carrier{
		Pair: func(testing.TB) (a, b link.Link) {
			x, y := mem.Pair()
			return x, y
		},
		Kill:                 func(l link.Link) { l.(*mem.Link).Kill() },
		Held:                 2 * mem.Capacity,
		CountsUnacknowledged: true,
	})
}

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
	<-a.Gone()
	assert.True(t, a.HungUp())
	assert.EqualValues(t, 1, a.Unacknowledged(), "the last one was not dealt with")
	require.NoError(t, a.Close())
	assert.EqualValues(t, 1, a.Unacknowledged(), "after Close")
}

// A peer that is killed never reads as one that has closed, even if its Link is
// closed afterwards.
func TestKilledIsNotClosed(t *testing.T) {
	a, b := mem.Pair()
	ctx := context.Background()
	require.NoError(t, a.WriteFrame(ctx, nil, []byte("last")))
	a.Kill()
	require.ErrorIs(t, a.WriteFrame(ctx, nil, nil), link.ErrClosed)
	require.NoError(t, a.Close())
	frame, err := b.ReadFrame(ctx)
	require.NoError(t, err)
	require.Equal(t, "last", string(frame))
	_, err = b.ReadFrame(ctx)
	require.ErrorIs(t, err, link.ErrPeerGone)
	require.NotErrorIs(t, err, io.EOF)
	require.NoError(t, b.Close())
}

func TestCredentials(t *testing.T) {
	a, b := mem.Pair()
	assert.Nil(t, a.Credentials())
	assert.Nil(t, b.Credentials())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())

	var closed []int
	given := func(pidfd int) *cred.Credentials {
		c := cred.New(func(fd int) error {
			closed = append(closed, fd)
			return nil
		})
		c.PIDFD = pidfd
		return c
	}
	first, second := given(1000), given(2000)
	a, b = mem.PairWith(first, second)
	assert.Same(t, first, a.Credentials())
	assert.Same(t, second, b.Credentials())
	require.NoError(t, b.Close())
	require.Equal(t, []int{2000}, closed)
	require.NoError(t, a.Close())
	require.Equal(t, []int{2000, 1000}, closed)
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
