package message_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

// silent is a link whose peer reads everything, and acknowledges what the test says.
type silent struct {
	link.Link
	frames, acknowledged uint64
}

func (l *silent) WriteFrame(context.Context, []byte, []byte) error {
	l.frames++
	return nil
}

func (l *silent) MaxFrame() int          { return link.MinMaxFrame }
func (l *silent) Unacknowledged() uint64 { return l.frames - l.acknowledged }

// A peer that reads and does not acknowledge costs bounded memory. Whatever it
// acknowledges later, no fewer messages count as unacknowledged than are, and exactly
// those if it acknowledges nothing.
func TestUnacknowledgedIsBoundedAndNeverTooSmall(t *testing.T) {
	const (
		rounds = 4000
		most   = 1024
	)
	batch3 := batch("one", "two", "three")
	sends := map[string]func(i int, r *rand.Rand) (fragments int){
		"batches":   func(int, *rand.Rand) int { return 0 },
		"fragments": func(int, *rand.Rand) int { return 2 },
		"long":      func(int, *rand.Rand) int { return 5 },
		"in turns":  func(i int, _ *rand.Rand) int { return 2 * (i % 2) },
		"mixed":     func(_ int, r *rand.Rand) int { return r.IntN(5) },
	}
	for name, next := range sends {
		t.Run(name, func(t *testing.T) {
			mine, other := mem.Pair()
			t.Cleanup(func() { _ = other.Close() })
			l := &silent{Link: mine}
			c := conn(t, l, message.Config{MaxSend: megabyte, MaxReceive: megabyte})
			r := rand.New(rand.NewPCG(1, 2))
			var endsAt []uint64 // of each message, the frame
			for i := range rounds {
				fragments := next(i, r)
				if fragments < 2 {
					_, err := c.SendBatch(t.Context(), batch3)
					require.NoError(t, err)
					endsAt = append(endsAt, l.frames, l.frames, l.frames)
				} else {
					before := l.frames
					require.NoError(t, c.Send(t.Context(), make([]byte, (fragments-1)*link.MinMaxFrame)))
					require.Greater(t, l.frames, before+1, "one frame")
					endsAt = append(endsAt, l.frames)
				}
				require.LessOrEqual(t, c.Counts(), most)
				require.EqualValues(t, len(endsAt), c.Unacknowledged(), "nothing is acknowledged")
			}
			for at := uint64(0); at <= l.frames; at += 1 + uint64(r.IntN(20)) {
				l.acknowledged = at
				unacknowledged := 0
				for i := len(endsAt) - 1; i >= 0 && endsAt[i] > at; i-- {
					unacknowledged++
				}
				got := c.Unacknowledged()
				require.GreaterOrEqual(t, got, uint64(unacknowledged), "after %d frames of %d", at, l.frames)
				// A fragment that is not the last may count as a message.
				require.LessOrEqual(t, got, uint64(len(endsAt))+l.frames-at)
			}
			l.acknowledged = l.frames
			require.Zero(t, c.Unacknowledged())
		})
	}
}

// What counts is exact while a peer acknowledges with a delay.
func TestUnacknowledgedIsExactForAnHonestPeer(t *testing.T) {
	for _, delay := range []uint64{0, 1, 100, 512} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			mine, other := mem.Pair()
			t.Cleanup(func() { _ = other.Close() })
			l := &silent{Link: mine}
			c := conn(t, l, plain)
			for range 4000 {
				_, err := c.SendBatch(t.Context(), batch("one", "two", "three"))
				require.NoError(t, err)
				l.acknowledged = l.frames - min(delay, l.frames)
				require.Equal(t, 3*(l.frames-l.acknowledged), c.Unacknowledged())
			}
		})
	}
}
