package message_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
)

func control(what byte, data string) []byte {
	return append(append(word(3, 1+len(data)), what), data...)
}

// docs/PROTOCOL.md, "Control items", byte by byte.
func TestControlBytes(t *testing.T) {
	a, _, raw := half(t, plain)
	require.NoError(t, a.Accept(hung(t)))
	require.NoError(t, a.CloseWithReason("enough"))
	read := func() string {
		b, err := raw.ReadFrame(hung(t))
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "\x01\x00\x00\xc0\x01", read())
	assert.Equal(t, "\x07\x00\x00\xc0\x02enough", read())
	_, err := raw.ReadFrame(hung(t))
	assert.Equal(t, io.EOF, err)
}

func TestReasonArrivesAfterMessages(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		for sent, want := range map[string]string{
			"enough":                               "enough",
			"bad \xff byte":                        "bad ? byte",
			strings.Repeat("x", 255) + "é":         strings.Repeat("x", 255),
			strings.Repeat("é", message.MaxReason): strings.Repeat("é", message.MaxReason/2),
		} {
			a, b := pair(t, cfg)
			send(t, a, "first", "second")
			require.NoError(t, a.CloseWithReason(sent))
			for _, want := range []string{"first", "second"} {
				p, err := b.Receive(hung(t))
				require.NoError(t, err)
				require.Equal(t, want, string(p))
			}
			for range 2 {
				_, err := b.Receive(hung(t))
				var closed *closeError
				require.ErrorAs(t, err, &closed)
				require.Equal(t, want, closed.reason)
				require.True(t, utf8.ValidString(closed.reason))
			}
			require.NoError(t, b.Close())
		}
	})
}

func TestDrain(t *testing.T) {
	drain := func(c *message.Conn, most int) (got []string, err error) {
		err = c.Drain(ended, most, func(p []byte) { got = append(got, string(p)) })
		return got, err
	}
	both(t, func(t *testing.T, cfg message.Config) {
		a, b := pair(t, cfg)
		send(t, a, "one", "two", "three")
		require.NoError(t, a.Flush(hung(t)))
		got, err := drain(b, megabyte)
		require.NoError(t, err, "there may be more")
		require.Equal(t, []string{"one", "two", "three"}, got)
		require.Equal(t, message.Counters{ReceivedMessages: 3, ReceivedBytes: 11}, b.Counters())
		send(t, a, "four")
		require.NoError(t, a.CloseWithReason("enough"))
		got, err = drain(b, megabyte)
		var closed *closeError
		require.ErrorAs(t, err, &closed)
		require.Equal(t, "enough", closed.reason)
		require.Equal(t, []string{"four"}, got)
		require.Equal(t, message.Counters{ReceivedMessages: 4, ReceivedBytes: 15}, b.Counters())
	})
	t.Run("no reason", func(t *testing.T) {
		a, b := pair(t, coalescing)
		send(t, a, "one")
		require.NoError(t, a.Close())
		got, err := drain(b, megabyte)
		require.Equal(t, io.EOF, err)
		require.Equal(t, []string{"one"}, got)
	})
	t.Run("bounded", func(t *testing.T) {
		cfg := coalescing
		cfg.Coalesce = false // each in a frame of its own
		const frame = 4 + len("12345")
		for most, messages := range map[int]int{0: 1, frame - 1: 1, frame: 2, 2 * frame: 3} {
			a, b := pair(t, cfg)
			send(t, a, "12345", "12345", "12345", "12345")
			got, err := drain(b, most)
			require.NoError(t, err)
			require.Len(t, got, messages, "more than %d bytes", most)
			require.EqualValues(t, messages, b.Counters().ReceivedMessages)
		}
	})
}

func TestWaitAccepted(t *testing.T) {
	both(t, func(t *testing.T, cfg message.Config) {
		t.Run("accept", func(t *testing.T) {
			a, b := pair(t, cfg)
			waiting := make(chan error, 1)
			go func() { waiting <- b.WaitAccepted(hung(t)) }()
			require.NoError(t, a.Accept(hung(t)))
			require.NoError(t, await(t, waiting))
			send(t, a, "message")
			p, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.Equal(t, "message", string(p))
		})
		t.Run("a message accepts", func(t *testing.T) {
			a, b := pair(t, cfg)
			send(t, a, "message")
			require.NoError(t, a.Accept(hung(t)))
			require.NoError(t, b.WaitAccepted(hung(t)))
			p, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.Equal(t, "message", string(p))
		})
		t.Run("an empty message accepts", func(t *testing.T) {
			a, b := pair(t, cfg)
			send(t, a, "")
			require.NoError(t, a.Flush(hung(t)))
			require.NoError(t, b.WaitAccepted(hung(t)))
			p, err := b.Receive(hung(t))
			require.NoError(t, err)
			require.Empty(t, p)
		})
		t.Run("goodbye", func(t *testing.T) {
			a, b := pair(t, cfg)
			require.NoError(t, a.CloseWithReason("no"))
			var closed *closeError
			require.ErrorAs(t, b.WaitAccepted(hung(t)), &closed)
			require.Equal(t, "no", closed.reason)
		})
		t.Run("end", func(t *testing.T) {
			a, b := pair(t, cfg)
			require.NoError(t, a.Close())
			require.Equal(t, io.EOF, b.WaitAccepted(hung(t)))
		})
		t.Run("context", func(t *testing.T) {
			_, b := pair(t, cfg)
			ctx, cancel := context.WithCancel(hung(t))
			waiting := make(chan error, 1)
			go func() { waiting <- b.WaitAccepted(ctx) }()
			cancel()
			require.ErrorIs(t, await(t, waiting), context.Canceled)
		})
	})
}

func TestHostileControlItems(t *testing.T) {
	for name, frames := range map[string][][]byte{
		"empty":              {word(3, 0)},
		"unknown":            {control(3, "")},
		"accept with data":   {control(1, "x")},
		"accept twice":       {control(1, ""), control(1, "")},
		"goodbye twice":      {control(2, "a"), control(2, "b")},
		"accept after it":    {control(2, "a"), control(1, "")},
		"message after it":   {control(2, "a"), whole("b")},
		"reason too long":    {control(2, strings.Repeat("x", message.MaxReason+1))},
		"longer than frame":  {append(word(3, 5), 2)},
		"rest of a fragment": {control(2, "a"), next("b")},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, raw := half(t, plain)
			for _, f := range frames {
				require.NoError(t, raw.WriteFrame(hung(t), f, nil))
			}
			_, err := a.Receive(hung(t))
			require.ErrorIs(t, err, link.ErrProtocol)
		})
	}
}

// A host may send anything in place of Accept.
func TestHostileAccept(t *testing.T) {
	for name, frame := range map[string][]byte{
		"empty frame":       {},
		"half a word":       {1, 0},
		"empty item":        word(3, 0),
		"unknown":           control(3, ""),
		"accept with data":  control(1, "x"),
		"reason too long":   control(2, strings.Repeat("x", message.MaxReason+1)),
		"longer than frame": append(word(3, 5), 1),
	} {
		t.Run(name, func(t *testing.T) {
			a, _, raw := half(t, plain)
			require.NoError(t, raw.WriteFrame(hung(t), frame, nil))
			require.ErrorIs(t, a.WaitAccepted(hung(t)), link.ErrProtocol)
			require.ErrorIs(t, a.WaitAccepted(hung(t)), link.ErrProtocol)
			_, err := a.Receive(hung(t))
			require.ErrorIs(t, err, link.ErrProtocol)
		})
	}
}
