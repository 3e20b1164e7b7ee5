package transport

import (
	"context"
	"errors"
	"fmt"
)

// SlowPolicy says what [Host.Publish] does about a slow client: one for which 256
// published messages, or 1 MiB of them, are waiting already.
type SlowPolicy int

// The policies.
const (
	Wait       SlowPolicy = iota // Publish waits until there is room, or its context ends
	DropOldest                   // the oldest waiting messages are dropped, and counted in Stats.Dropped
	Disconnect                   // the session is closed; the client gets a *CloseError
)

// slowReason is the reason that a slow client gets when it is disconnected.
const slowReason = "the client receives published messages too slowly"

// Publish sends a message to every session. v is encoded once, and the caller may change
// it after Publish has returned. The message is queued for each session. Published
// messages are sent to it in order, but in no order with [Session.Send]. Publish blocks
// only with the policy [Wait], while a client has no room, until ctx ends; all other
// clients get the message before it waits.
//
// Errors: [ErrEncode], and [ErrMessageTooLarge] for a message above
// [Config.MaxMessageSize], after which nothing is sent; ctx.Err(), after which the
// clients without room do not get the message; [ErrClosed] after Shutdown or Close;
// [ErrConfig] for a policy that does not exist. A client with a MaxMessageSize below
// the message's size does not get the message: that is counted in [Stats].Dropped of
// its session and reported to [Config.OnError].
func (h *Host[T]) Publish(ctx context.Context, v T, policy SlowPolicy) error {
	if policy < Wait || policy > Disconnect {
		return fmt.Errorf("%w: SlowPolicy %d does not exist", ErrConfig, policy)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.drain.Err() != nil {
		return ErrClosed
	}
	b, err := h.encode(v)
	if err != nil {
		return err
	}
	var full []*Session[T]
	for s := range h.Sessions() {
		if s.publish(b, policy) != nil {
			full = append(full, s)
		}
	}
	for _, s := range full {
		for {
			room := s.publish(b, policy)
			if room == nil {
				break
			}
			select {
			case <-room:
			case <-s.ctx.Done():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// encode encodes a value for all sessions.
func (h *Host[T]) encode(v T) (b []byte, err error) {
	if h.k.bytes != nil {
		b = append([]byte{}, h.k.bytes(v)...)
	} else if b, err = h.k.encode(nil, v); err != nil {
		return nil, err
	}
	if len(b) > h.s.MaxMessageSize {
		return nil, fmt.Errorf("%w: %d bytes, and this host's MaxMessageSize is %d", ErrMessageTooLarge, len(b), h.s.MaxMessageSize)
	}
	return b, nil
}

// publish queues a message. With the policy Wait it returns a channel if there is
// no room, on which to wait before the next attempt.
func (s *Session[T]) publish(b []byte, policy SlowPolicy) (full <-chan struct{}) {
	if s.ctx.Err() != nil {
		return nil
	}
	full = s.out.put(b, policy == DropOldest, s.startOutbox)
	if full == nil || policy == Wait {
		return full
	}
	// Close may block until the client reads, which it may never do.
	s.out.leave(func() { _ = s.Close(slowReason) })
	return nil
}

// startOutbox starts the goroutine that sends published messages. serve joins it.
func (s *Session[T]) startOutbox() {
	go s.out.run(s.ctx, func(ctx context.Context, b []byte) error {
		err := s.c.Send(ctx, b)
		if errors.Is(err, ErrMessageTooLarge) {
			s.h.s.reportConn(s.h.Endpoint(), s.Peer(), err)
		}
		return err
	})
}
