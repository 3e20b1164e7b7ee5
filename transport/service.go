package transport

import (
	"context"
	"fmt"
)

// Service is the set of functions with which a [Host] serves its clients.
//
// Each session has one goroutine, which calls OnConnect, Handle for each message, and
// OnDisconnect: never two at a time for one session, but in parallel for several.
// [Host.Shutdown] and [Host.Close] wait for these calls, Close for at most 5 seconds.
// Unlike net/http, a Host does not recover panics in them: they end the process.
type Service[T any] struct {
	// Handle is called for each message; see [NewHost]. Required.
	Handle func(ctx context.Context, m Message[T])

	// OnConnect, if not nil, is called for each client that the peer policy has
	// accepted, before any of its messages is handled. An error refuses the client,
	// whose constructor returns [ErrRefused] with the error's text as a [*CloseError];
	// a [Client] that is refused when it reconnects keeps trying. The client waits for
	// OnConnect, for at most its HandshakeTimeout. ctx is the session's context.
	//
	// A Send within OnConnect accepts the client at once; an error after that ends the
	// session without OnDisconnect. Otherwise the client is among [Host.Sessions] and
	// gets what is published from the moment that its constructor has returned. Without
	// OnConnect it becomes a session shortly after that.
	OnConnect func(ctx context.Context, s *Session[T]) error

	// OnDisconnect, if not nil, is called once for each session that OnConnect has
	// accepted, after its last message was handled. err says why the session ended:
	// nil if the client closed it, a [*CloseError] if the client gave a reason,
	// [ErrClosed] if this side closed it, otherwise the failure, such as [ErrPeerGone].
	OnDisconnect func(s *Session[T], err error)

	// Codec encodes and decodes messages. The default is [CodecOf][T].
	Codec Codec[T]
}

// coder checks a Service and returns its codec and content name.
func (v *Service[T]) coder() (coder[T], string, error) {
	if v.Handle == nil {
		return coder[T]{}, "", fmt.Errorf("%w: a host needs a handler, but it is nil", ErrConfig)
	}
	return coderOf(v.Codec)
}

// coderOf returns a codec, by default that of T, and its content name.
func coderOf[T any](c Codec[T]) (coder[T], string, error) {
	if c == nil {
		var err error
		if c, err = CodecOf[T](); err != nil {
			return coder[T]{}, "", err
		}
	}
	content, err := contentName(c)
	if err != nil {
		return coder[T]{}, "", err
	}
	return newCoder(c), content, nil
}
