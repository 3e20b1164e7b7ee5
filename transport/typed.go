package transport

import (
	"context"
	"fmt"
	"sync"

	"github.com/sealport/sealport/internal/conn"
)

// bytesContent is the content name of messages that are bytes.
const bytesContent = "bytes"

// Sizes in bytes up to which buffers for encoding are kept: of one message and of
// a batch.
const (
	keptEncoding = 64 << 10
	keptBatch    = 1 << 20
)

// typed is a connection with a codec: a Client's, or a Host's side of it.
type typed[T any] struct {
	*conn.Conn
	k       coder[T]
	bufs    sync.Pool // of *[]byte, for encoding
	batches sync.Pool // of *batch
}

func newTyped[T any](c *conn.Conn, k coder[T]) *typed[T] {
	return &typed[T]{
		Conn: c, k: k,
		bufs:    sync.Pool{New: func() any { return new([]byte) }},
		batches: sync.Pool{New: func() any { return new(batch) }},
	}
}

func (t *typed[T]) send(ctx context.Context, v T) error {
	if t.k.bytes != nil {
		return t.Send(ctx, t.k.bytes(v))
	}
	buf := t.bufs.Get().(*[]byte)
	b, err := t.k.encode((*buf)[:0], v)
	if err == nil {
		err = t.Send(ctx, b)
	}
	if cap(b) <= keptEncoding && b != nil {
		*buf = b
	}
	t.bufs.Put(buf)
	return err
}

// receive returns the next message. A *MessageError is not the end of the connection.
func (t *typed[T]) receive(ctx context.Context) (v T, err error) {
	b, err := t.Receive(ctx)
	if err != nil {
		return v, err
	}
	return t.decode(b)
}

func (t *typed[T]) decode(b []byte) (v T, err error) {
	if v, err = t.k.decode(b); err != nil {
		err = &MessageError{Peer: t.Peer(), Size: len(b), Err: err}
	}
	return v, err
}

// batch is scratch memory for sending many messages.
type batch struct {
	encoded  []byte   // one after the other
	ends     []int    // of each, in encoded
	messages [][]byte // of each
}

// sendBatch sends values in order, until one does not encode, and returns how many.
func (t *typed[T]) sendBatch(ctx context.Context, vs []T) (sent int, err error) {
	b := t.batches.Get().(*batch)
	defer t.keep(b)
	b.encoded, b.ends, b.messages = b.encoded[:0], b.ends[:0], b.messages[:0]
	var failed error
	for i, v := range vs {
		if t.k.bytes != nil {
			b.messages = append(b.messages, t.k.bytes(v))
			continue
		}
		encoded, err := t.k.encode(b.encoded, v)
		if err != nil {
			failed = fmt.Errorf("message %d of the batch: %w", i, err)
			break
		}
		b.encoded = encoded
		b.ends = append(b.ends, len(encoded))
	}
	begin := 0
	for _, end := range b.ends {
		b.messages = append(b.messages, b.encoded[begin:end])
		begin = end
	}
	if len(b.messages) == 0 && failed != nil {
		return 0, failed
	}
	if sent, err = t.SendBatch(ctx, b.messages); err != nil {
		return sent, err
	}
	return sent, failed
}

// keep returns scratch memory for the next batch, unless it is large.
func (t *typed[T]) keep(b *batch) {
	const perMessage = 32 // bytes of ends and messages, for each
	if cap(b.encoded)+perMessage*cap(b.messages) > keptBatch {
		return
	}
	clear(b.messages) // they may be the caller's
	t.batches.Put(b)
}
