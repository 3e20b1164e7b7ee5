package transporttest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// oddCodec reverses strings, and fails or panics where it is told to.
type oddCodec struct{}

var errOdd = errors.New("odd")

func (oddCodec) Append(b []byte, v string) ([]byte, error) {
	if v == "encode" {
		return append(b, "half of it"...), errOdd
	}
	for i := range len(v) {
		b = append(b, v[len(v)-1-i])
	}
	return b, nil
}

func (oddCodec) Decode(b []byte) (string, error) {
	switch s, _ := (oddCodec{}).Append(nil, string(b)); string(s) {
	case "decode":
		return "", errOdd
	case "panic":
		panic("the codec's own")
	default:
		return string(s), nil
	}
}

func testCodecs(t *testing.T, e *env) {
	t.Run("bytes", func(t *testing.T) { roundTrip(t, e, e.Bytes, nil, []byte{0, 255}, []byte("x"), []byte{}) })
	t.Run("string", func(t *testing.T) { roundTrip(t, e, e.Strings, nil, "", "\x00\xff", "text") })
	t.Run("JSON", func(t *testing.T) {
		roundTrip(t, e, e.Notes, nil, Note{}, Note{Number: -1, Text: "<\u2028>", Tags: []string{"a", ""}})
	})
	t.Run("value with AppendBinary", func(t *testing.T) { roundTrip(t, e, e.Points, nil, Point{1, 2}, Point{1 << 31, 0}) })
	t.Run("pointer with MarshalBinary", func(t *testing.T) { roundTrip(t, e, e.Refs, nil, &Ref{"r"}, &Ref{}) })
	t.Run("explicit", func(t *testing.T) { roundTrip(t, e, e.Strings, oddCodec{}, "forwards", "") })
	t.Run("awkward types", func(t *testing.T) { testAwkwardTypes(t, e) })
	t.Run("failing", func(t *testing.T) { testBadCodec(t, e) })
	t.Run("disagreeing", func(t *testing.T) { testDecodeError(t, e) })
}

// roundTrip sends values to a host and back.
func roundTrip[T any](t *testing.T, e *env, of Typed[T], codec transport.Codec[T], values ...T) {
	e = newEnv(t, e.Layer, e.variant)
	ctx := context30(t)
	h, err := of.NewHost(of.endpoint, transport.Service[T]{Codec: codec, Handle: func(_ context.Context, m transport.Message[T]) {
		assert.NoError(t, m.Reply(ctx, m.Body))
	}}, e.config())
	require.NoError(t, err)
	defer h.Close()
	c, err := of.NewClient(ctx, of.endpoint, codec, e.config())
	require.NoError(t, err)
	defer c.Close()
	for _, v := range values {
		require.NoError(t, c.Send(ctx, v))
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, v, got)
	}
}

// Item is a value of a type of the awkward table.
type Item struct {
	Row   int
	Value any
}

// itemCodec encodes items by the codecs of their rows.
type itemCodec []transport.Codec[any]

func (c itemCodec) Append(b []byte, v Item) ([]byte, error) {
	return c[v.Row].Append(append(b, byte(v.Row)), v.Value)
}

func (c itemCodec) Decode(b []byte) (Item, error) {
	row := int(b[0])
	v, err := c[row].Decode(b[1:])
	return Item{row, v}, err
}

// The codecs of awkward types do the same on a connection as by themselves: what
// encodes arrives as it was, and the rest is an error that sends nothing.
func testAwkwardTypes(t *testing.T, e *env) {
	var codecs itemCodec
	var sent, unfit []Item
	for _, a := range AwkwardTypes() {
		if a.Content == "" {
			continue // has no codec
		}
		c, err := a.Codec()
		require.NoError(t, err, a.Name)
		for _, v := range a.Values {
			sent = append(sent, Item{len(codecs), v})
		}
		for _, v := range a.Unfit {
			unfit = append(unfit, Item{len(codecs), v})
		}
		codecs = append(codecs, c)
	}
	roundTrip(t, e, e.Items, codecs, sent...)

	got := make(chan Item, 1)
	e = newEnv(t, e.Layer, e.variant)
	h, err := e.Items.NewHost(e.endpoint, transport.Service[Item]{
		Codec: codecs, Handle: func(_ context.Context, m transport.Message[Item]) { got <- m.Body },
	}, e.config())
	require.NoError(t, err)
	defer h.Close()
	ctx := context30(t)
	c, err := e.Items.NewClient(ctx, e.endpoint, codecs, e.config())
	require.NoError(t, err)
	defer c.Close()
	for _, item := range unfit {
		require.ErrorIs(t, c.Send(ctx, item), transport.ErrEncode, "row %d", item.Row)
	}
	require.NoError(t, c.Send(ctx, sent[0]))
	assert.Equal(t, sent[0], await(t, got))
	assert.EqualValues(t, 1, c.Stats().SentMessages)
}

// A message that does not decode goes to the error hook, and the others arrive.
func testBadCodec(t *testing.T, e *env) {
	e = newEnv(t, e.Layer, e.variant)
	ctx := context30(t)
	var log logBook
	failures := make(chan error, 8)
	got := make(chan string, 8)
	h, err := e.Strings.NewHost(e.endpoint, transport.Service[string]{Codec: oddCodec{}, Handle: func(_ context.Context, m transport.Message[string]) {
		got <- m.Body
		assert.NoError(t, m.Reply(ctx, "decode"))
		assert.NoError(t, m.Reply(ctx, "fine"))
	}}, e.config(func(c *transport.Config) {
		c.OnError = func(err error) { failures <- err }
		c.Logger = slog.New(&log)
	}))
	require.NoError(t, err)
	defer h.Close()
	c, err := e.Strings.NewClient(ctx, e.endpoint, oddCodec{}, e.config())
	require.NoError(t, err)
	defer c.Close()

	for _, bad := range []string{"decode", "panic"} {
		require.NoError(t, c.Send(ctx, bad))
		err := await(t, failures)
		require.ErrorIs(t, err, transport.ErrDecode)
		if bad == "decode" {
			require.ErrorIs(t, err, errOdd)
		}
		var detail *transport.MessageError
		require.ErrorAs(t, err, &detail)
		assert.Equal(t, len(bad), detail.Size)
		assert.NotNil(t, detail.Peer)
	}
	err = c.Send(ctx, "encode")
	require.ErrorIs(t, err, transport.ErrEncode)
	require.ErrorIs(t, err, errOdd)

	require.NoError(t, c.Send(ctx, "last"))
	require.Equal(t, "last", await(t, got))
	assert.Empty(t, got)
	assert.EqualValues(t, 2, h.Stats().DecodeErrors)
	assert.True(t, log.has("message not decoded", ""), "it is not in the log")

	// The client's own Receive tells it, and goes on too.
	_, err = c.Receive(ctx)
	require.ErrorIs(t, err, transport.ErrDecode)
	v, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "fine", v)
}

// bytesAs sends bytes as they are, and says that they are something else.
type bytesAs string

func (c bytesAs) Append(b []byte, v []byte) ([]byte, error) { return append(b, v...), nil }
func (c bytesAs) Decode(b []byte) ([]byte, error)           { return bytes.Clone(b), nil }
func (c bytesAs) ContentName() string                       { return string(c) }

// Two programs that do not agree on the type: errors, not garbage. What their
// codecs call their bytes is compared when connecting.
func testDecodeError(t *testing.T, e *env) {
	e = newEnv(t, e.Layer, e.variant)
	failures := make(chan error, 8)
	got := make(chan Point, 1)
	host(t, e.Points, func(_ context.Context, m transport.Message[Point]) { got <- m.Body }, e.config(func(c *transport.Config) {
		c.OnError = func(err error) { failures <- err }
	}))
	ctx := context30(t)
	for _, codec := range []transport.Codec[[]byte]{nil, bytesAs("binary:point")} {
		_, err := e.Bytes.NewClient(ctx, e.endpoint, codec, e.config())
		require.ErrorIs(t, err, transport.ErrType)
	}
	_, err := e.Bytes.NewClient(ctx, e.endpoint, bytesAs("é"), e.config())
	require.ErrorIs(t, err, transport.ErrConfig)

	c, err := e.Bytes.NewClient(ctx, e.endpoint, bytesAs("binary"), e.config())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Send(ctx, []byte("seven b")))
	for { // after what the host has said of the others
		if err := await(t, failures); errors.Is(err, transport.ErrDecode) {
			require.ErrorIs(t, err, errPointSize)
			break
		}
	}
	require.NoError(t, c.Send(ctx, bytes.Repeat([]byte{1}, 8)))
	assert.Equal(t, Point{0x01010101, 0x01010101}, await(t, got))
}

func testEncodeError(t *testing.T, e *env) {
	got := make(chan Point, 1)
	host(t, e.Points, func(_ context.Context, m transport.Message[Point]) { got <- m.Body }, e.config())
	c, ctx := client(t, e.Points, e.config()), context30(t)
	err := c.Send(ctx, Point{3, 3})
	require.ErrorIs(t, err, transport.ErrEncode)
	require.ErrorIs(t, err, errDiagonal)
	require.NoError(t, c.Send(ctx, Point{3, 4}))
	assert.Equal(t, Point{3, 4}, await(t, got))
	assert.EqualValues(t, 1, c.Stats().SentMessages)
}

func testCancelled(t *testing.T, e *env) {
	var n int
	handled := make(chan int, 4)
	host(t, e.Strings, func(_ context.Context, m transport.Message[string]) { n++; handled <- n }, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, c.Send(ended, "never"), context.Canceled)
	require.ErrorIs(t, c.Flush(ended), context.Canceled)
	require.NoError(t, c.Send(ctx, "first"))
	assert.Equal(t, 1, await(t, handled))
	_, err := e.Strings.NewClient(ended, e.endpoint, nil, e.config())
	assert.ErrorIs(t, err, context.Canceled)
}

func testAfterClose(t *testing.T, e *env) {
	h := host(t, e.Strings, func(context.Context, transport.Message[string]) {}, e.config())
	c, ctx := client(t, e.Strings, e.config()), context30(t)
	waiting := make(chan error)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := c.Receive(ctx)
		waiting <- err
	}()
	<-started
	require.NoError(t, c.Close())
	assert.ErrorIs(t, await(t, waiting), transport.ErrClosed)
	require.NoError(t, c.Close(), "Close is idempotent")
	assert.ErrorIs(t, c.Send(ctx, "x"), transport.ErrClosed)
	assert.ErrorIs(t, c.Flush(ctx), transport.ErrClosed)
	_, err := c.Receive(ctx)
	assert.ErrorIs(t, err, transport.ErrClosed)
	assert.Nil(t, c.Peer())

	require.NoError(t, h.Close())
	require.NoError(t, h.Close(), "Close is idempotent")
	require.NoError(t, h.Shutdown(ctx))
}
