package transport

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
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

	// ErrUnsafeFolder means that other users could tamper with the folder of
	// the endpoints.
	ErrUnsafeFolder = rendezvous.ErrUnsafeFolder

	// ErrConfig means that a Config has an impossible value or contradicts
	// itself, or that a type has no codec.
	ErrConfig = errors.New("invalid configuration")

	// ErrVersion means that the other side speaks another protocol version.
	ErrVersion = message.ErrVersion

	// ErrMode means that one side is plain and the other secure.
	ErrMode = message.ErrMode

	// ErrRefused means that the other side's peer policy said no. This side's
	// own refusal is a *peer.RefusedError. Both answer
	// errors.Is(err, peer.ErrRefused).
	ErrRefused error = &refusedError{}

	// ErrBusy means that the host has as many connections as it takes.
	ErrBusy = errors.New("host has too many connections")
)

// refusedError is ErrRefused.
type refusedError struct{}

func (*refusedError) Error() string { return "the host refused this process" }
func (*refusedError) Unwrap() error { return peer.ErrRefused }

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

	// ErrDecode means that a message could not be decoded. The others go on.
	ErrDecode = errors.New("message does not decode")

	// ErrEncode means that a value could not be encoded. Nothing is sent.
	ErrEncode = errors.New("value does not encode")

	// ErrDisconnected means that a Client has lost its host. See
	// DisconnectedError.
	ErrDisconnected = errors.New("disconnected from the host")
)

// DisconnectedError says what may have been lost with a host. It answers
// errors.Is(err, ErrDisconnected), and what caused it.
type DisconnectedError struct {
	Endpoint string

	// Unconfirmed is how much the host is not known to have dealt with, of what
	// Send accepted before: in frames, which are messages unless they are larger
	// than 64 KiB (a frame for each 64 KiB) or were sent while an attested host
	// was behind (several to a frame; then 1 may stand for any number).
	Unconfirmed uint64

	// NotSent is whether the value given to this very call was not sent.
	NotSent bool

	Err error // the cause
}

func (e *DisconnectedError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Endpoint, ErrDisconnected)
	if e.Unconfirmed > 0 {
		s += fmt.Sprintf("; what was sent before may be lost (frames: %d)", e.Unconfirmed)
	}
	if e.NotSent {
		s += "; this message was not sent"
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns ErrDisconnected and the cause.
func (e *DisconnectedError) Unwrap() []error { return []error{ErrDisconnected, e.Err} }

// MessageError is what Config.OnError gets for a message that does not decode.
// It answers errors.Is(err, ErrDecode), and what the codec said.
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

// ConnError is what Config.OnError gets for a connection that ended in another
// way than the peer's Close, or did not come to be.
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
