package message_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
)

// FuzzConnReceive gives a Conn any frames at all. The input is a sequence of
// frames, each one byte of length and so many bytes.
func FuzzConnReceive(f *testing.F) {
	frames := func(all ...[]byte) (b []byte) {
		for _, f := range all {
			b = append(append(b, byte(len(f))), f...)
		}
		return b
	}
	f.Add(frames(whole("a"), append(whole("b"), whole("")...)))
	f.Add(frames(first(8, "four"), next("two"), next("2")))
	f.Add(frames(first(8, "four"), whole("given up"), next("four")))
	f.Add(frames(first(8, "four"), first(5, "four"), next("5")))
	f.Add(frames(first(1<<63, "four")))
	f.Add(frames(first(1<<29, "four"), next("more")))
	f.Add(frames(nil))
	f.Add(frames(word(3, 0)))
	f.Add(frames(control(1, ""), control(2, "enough")))
	f.Add(frames(append(control(2, "enough"), whole("more")...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1 << 30
		mine, raw := mem.Pair()
		c := message.NewConn(mine, message.Config{MaxReceive: most, Closed: closed})
		defer c.Close()
		defer raw.Close()
		sent := 0
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			frame := b[1 : 1+n]
			b = b[1+n:]
			require.NoError(t, raw.WriteFrame(context.Background(), frame, nil))
			sent += n
			if err := c.Drain(ended, sent, func(p []byte) { require.LessOrEqual(t, len(p), sent, "more than was sent") }); err != nil {
				require.ErrorIs(t, err, link.ErrProtocol)
				_, again := c.Receive(context.Background())
				require.Equal(t, err, again, "errors stay")
				return
			}
			require.LessOrEqual(t, c.AssemblyMemory(), 2*sent+1<<20)
		}
		require.NoError(t, raw.Close())
		_, err := c.Receive(context.Background())
		require.Error(t, err)
	})
}
