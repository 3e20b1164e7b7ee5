package transport

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// Errors of constructors. Each comes wrapped in a sentence that says what to do.
var (
	// ErrInvalidEndpoint means that a name is not 1 to 127 bytes of
	// [A-Za-z0-9._-] beginning with a letter or digit.
	ErrInvalidEndpoint = rendezvous.ErrName

	// ErrEndpointInUse means that a living host serves the endpoint.
	ErrEndpointInUse = rendezvous.ErrInUse

	// ErrNoHost means that nobody serves the endpoint. It answers
	// errors.Is(err, fs.ErrNotExist) too.
	ErrNoHost = rendezvous.ErrNotFound

	// ErrPermission means that the system does not let this process serve or
	// reach the endpoint. It answers errors.Is(err, fs.ErrPermission) too.
	ErrPermission = rendezvous.ErrPermission

	// ErrNotEndpoint means that something else is in the endpoint's place, such
	// as a plain file or a socket of another type.
	ErrNotEndpoint = rendezvous.ErrNotEndpoint

	// ErrUnsafeDir means that other users could tamper with the directory of the
	// endpoints.
	ErrUnsafeDir = rendezvous.ErrUnsafeDir

	// ErrConfig means that a [Config] has an impossible value, one that this role
	// does not use, or contradicts itself, or that a type has no codec.
	ErrConfig = errors.New("invalid configuration")

	// ErrVersion means that the other side speaks another protocol version.
	ErrVersion = wire.ErrVersion

	// ErrMode means that one side is plain and the other secure.
	ErrMode = wire.ErrMode

	// ErrType means that the two sides have different types of messages. Its text
	// names both contents; see [Codec].
	ErrType = wire.ErrType

	// ErrRefused means that the host did not admit this client: by its peer policy,
	// in which case only the host's log has the rule, or by [Service.OnConnect], in
	// which case the error answers [errors.As] for the [*CloseError] with the reason.
	// This side's own refusal is a [*peer.RefusedError]. Both answer
	// errors.Is(err, peer.ErrRefused).
	ErrRefused error = conn.ErrRefused

	// ErrBusy means that the host has as many connections as it accepts.
	ErrBusy = conn.ErrBusy

	// ErrExhausted means that this process or the host is out of descriptors,
	// memory or disk space. The error of the process that is has the limit and
	// says what to do, and answers errors.Is for the system's error.
	ErrExhausted = rendezvous.ErrExhausted
)

// Errors of connections.
var (
	// ErrMessageTooLarge is returned by Send for a message above either side's
	// MaxMessageSize. Nothing of it is sent, and the connection stays usable.
	ErrMessageTooLarge = message.ErrTooLarge

	// ErrPeerGone means that the peer vanished without closing: it died or
	// dropped the connection. Senders get it after a peer's Close too.
	ErrPeerGone = link.ErrPeerGone

	// ErrProtocol means that the peer broke the protocol. That direction is
	// dead and repeats the error.
	ErrProtocol = link.ErrProtocol

	// ErrPeerChanged means that a frame came from another process than the one
	// that connected, or from that one with other user or group ids (attested
	// mode, and always on Darwin). Final.
	ErrPeerChanged = link.ErrPeerChanged

	// ErrClosed is returned by calls on what this side has closed.
	ErrClosed = link.ErrClosed

	// ErrHandlerRunning is returned by [Host.Close] when a handler has not
	// returned in time.
	ErrHandlerRunning = errors.New("a handler is still running")

	// ErrDecode means that a message could not be decoded. The others go on.
	ErrDecode = errors.New("message does not decode")

	// ErrEncode means that a value could not be encoded. Nothing is sent.
	ErrEncode = errors.New("value does not encode")

	// ErrDisconnected means that a Client has lost its host. See
	// DisconnectedError.
	ErrDisconnected = errors.New("disconnected from the host")
)

// CloseError means that the peer closed the connection and said why: by
// [Conn.CloseWithReason], [Session.Close], or the error of [Service.OnConnect].
type CloseError struct {
	Reason string // valid UTF-8, at most 256 bytes
}

func (e *CloseError) Error() string { return "closed by the peer: " + e.Reason }

// DisconnectedError says what may have been lost with a host. It answers errors.Is for
// [ErrDisconnected] and for the cause: a [*CloseError] if the host said why; the
// context's error if the context of the call ended while there was no host.
type DisconnectedError struct {
	Endpoint string

	// Unconfirmed is the number of messages that Send accepted before and that the
	// host is not known to have dealt with. In attested mode the kernel does not
	// tell how many wait: 1 may stand for any number then.
	Unconfirmed uint64

	// NotSent is whether the value given to this call was not sent.
	NotSent bool

	Err error // the cause
}

func (e *DisconnectedError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Endpoint, ErrDisconnected)
	if e.Unconfirmed > 0 {
		s += fmt.Sprintf("; messages that may be lost: %d", e.Unconfirmed)
	}
	if e.NotSent {
		s += "; this one was not sent"
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns ErrDisconnected and the cause.
func (e *DisconnectedError) Unwrap() []error { return []error{ErrDisconnected, e.Err} }

// MessageError is what [Config.OnError] gets for a message that does not decode. It
// answers errors.Is for [ErrDecode] and for the codec's error.
type MessageError struct {
	Peer *peer.Identity
	Size int // bytes
	Err  error
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("%v of %d bytes from %v: %v", ErrDecode, e.Size, e.Peer, e.Err)
}

// Unwrap returns ErrDecode and the codec's error.
func (e *MessageError) Unwrap() []error { return []error{ErrDecode, e.Err} }

// ConnError is what [Config.OnError] gets for a connection that ended otherwise than
// by the peer's Close, or was not made.
type ConnError struct {
	Peer *peer.Identity // nil if the peer was not identified
	Err  error
}

func (e *ConnError) Error() string {
	if e.Peer == nil {
		return "connection: " + e.Err.Error()
	}
	return fmt.Sprintf("connection with %v: %v", e.Peer, e.Err)
}

// Unwrap returns the cause.
func (e *ConnError) Unwrap() error { return e.Err }
