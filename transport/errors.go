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

// Errors of constructors. Each is wrapped in a text that says what to do.
var (
	// ErrInvalidEndpoint means that a name is not 1 to 127 bytes of
	// [A-Za-z0-9._-] beginning with a letter or digit.
	ErrInvalidEndpoint = rendezvous.ErrName

	// ErrEndpointInUse means that another host serves the endpoint.
	ErrEndpointInUse = rendezvous.ErrInUse

	// ErrNoHost means that no host serves the endpoint. errors.Is holds for
	// [io/fs.ErrNotExist] too.
	ErrNoHost = rendezvous.ErrNotFound

	// ErrPermission means that the system does not let this process serve or
	// reach the endpoint, or does not let other users reach a host with
	// [Config.Shared]. errors.Is holds for [io/fs.ErrPermission] too.
	ErrPermission = rendezvous.ErrPermission

	// ErrNotEndpoint means that there is something else in the place of the
	// endpoint, such as a plain file or a socket of another type.
	ErrNotEndpoint = rendezvous.ErrNotEndpoint

	// ErrUnsafeDir means that other users could tamper with the directory of the
	// endpoints, or that it belongs to one of them.
	ErrUnsafeDir = rendezvous.ErrUnsafeDir

	// ErrConfig means that a setting of [Config] is invalid, contradicts another one
	// or is not used in this role, or that a type has no codec.
	ErrConfig = errors.New("invalid configuration")

	// ErrVersion means that the other side uses another version of the protocol.
	ErrVersion = wire.ErrVersion

	// ErrMode means that one side is plain and the other secure.
	ErrMode = wire.ErrMode

	// ErrType means that the two sides have different content names, which are in the
	// error's text; see [CodecOf] and [Codec]. The names tell JSON from a string, not
	// one struct from another: all types that travel as JSON connect. There a field
	// that the receiver does not have is [ErrDecode], which a host reports to
	// [Config.OnError], and a field that the sender does not have is zero.
	ErrType = wire.ErrType

	// ErrRefused means that the host did not accept this client. Either its peer
	// policy refused it, and only the host's log has the rule, or
	// [Service.OnConnect] did, and errors.As finds the [*CloseError] with the reason.
	// If this side refuses the host, the error is a [*peer.RefusedError] instead.
	// errors.Is holds for [peer.ErrRefused] in both cases.
	ErrRefused error = conn.ErrRefused

	// ErrBusy means that the host has as many connections as it accepts, or that it
	// dropped this client because too many connect at a time.
	ErrBusy = conn.ErrBusy

	// ErrExhausted means that this process or the host has no descriptors, memory or
	// disk space left. In the process that has none left, the error's text has the
	// limit and says what to do, and errors.Is holds for the system's error too.
	ErrExhausted = rendezvous.ErrExhausted
)

// Errors of connections.
var (
	// ErrMessageTooLarge is returned by Send for a message above either side's
	// MaxMessageSize. Nothing of it is sent, and the connection stays usable.
	ErrMessageTooLarge = message.ErrTooLarge

	// ErrPeerGone means that the peer ended without closing: it died or
	// dropped the connection. Senders get it after a peer's Close too.
	ErrPeerGone = link.ErrPeerGone

	// ErrProtocol means that the peer violated the protocol. It is final for that
	// direction.
	ErrProtocol = link.ErrProtocol

	// ErrPeerChanged means that a frame came from another process than the one
	// that connected, or that the process has other user or group ids now (in attested
	// mode, and always on Darwin). It is final.
	ErrPeerChanged = link.ErrPeerChanged

	// ErrClosed is returned by calls after this side has closed.
	ErrClosed = link.ErrClosed

	// ErrHandlerRunning is returned by [Host.Close] when a handler has not
	// returned in time.
	ErrHandlerRunning = errors.New("a handler is still running")

	// ErrDecode means that a message could not be decoded. Other messages are not affected.
	ErrDecode = errors.New("cannot decode message")

	// ErrEncode means that a value could not be encoded. Nothing is sent.
	ErrEncode = errors.New("cannot encode value")

	// ErrDisconnected means that a [Client] has lost its host. See
	// [DisconnectedError].
	ErrDisconnected = errors.New("disconnected from the host")
)

// CloseError means that the peer closed the connection and gave a reason: by
// [Conn.CloseWithReason], [Session.Close], or the error of [Service.OnConnect].
type CloseError struct {
	Reason string // valid UTF-8, at most 256 bytes
}

func (e *CloseError) Error() string { return "closed by the peer: " + e.Reason }

// DisconnectedError reports that a connection of a [Client] has ended, and what may have
// been lost with it. errors.Is holds for [ErrDisconnected] and for the cause. A call whose
// context ends while it waits for the next host returns another error; see
// [Client.Send]. [Client] says when Receive reports an end that was reported before.
type DisconnectedError struct {
	Endpoint string

	// Generation is that of the connection that has ended; see [Client.Generation].
	Generation uint64

	// Unconfirmed is the number of messages that Send accepted before and that the
	// host may not have handled: the last ones that were sent. It is never too small.
	// Messages that a host was killed or closed with after it had handled them may count:
	// up to 16 KiB of them or one that is larger, and with Mach ports those of 8 frames. If the system cannot share
	// memory between processes (memfd_create is forbidden), all that the socket's
	// buffer can hold may count.
	Unconfirmed uint64

	// NotSent reports whether the value given to this call was not sent.
	NotSent bool

	// Err is the cause: a [*CloseError] if the host gave a reason, an error for which
	// errors.Is holds for [io.EOF] if the host closed without one, and [ErrPeerGone] if it
	// died. It is the same whichever call reports the end, and what [Config.Logger] gets.
	Err error
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

// matters reports whether Close returns it: messages may be lost, or the host gave a
// reason.
func (e *DisconnectedError) matters() bool {
	var closed *CloseError
	return e.Unconfirmed > 0 || errors.As(e.Err, &closed)
}

// after returns one report for e and an earlier end, which may be nil.
func (e *DisconnectedError) after(earlier *DisconnectedError) *DisconnectedError {
	if earlier != nil {
		e.Unconfirmed += earlier.Unconfirmed
	}
	return e
}

// Unwrap returns ErrDisconnected and the cause.
func (e *DisconnectedError) Unwrap() []error { return []error{ErrDisconnected, e.Err} }

// MessageError is the error for a message that cannot be decoded: [Client.Receive]
// returns it, and a host passes it to [Config.OnError]. errors.Is holds for
// [ErrDecode] and for the codec's error.
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

// ConnError is what [Config.OnError] gets for a connection that failed, or that ended
// without the peer's Close.
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

// EndpointError is what [Config.OnError] gets when the name of an endpoint no longer led
// to its host: something has removed or replaced its socket, its lock file or its
// directory, such as a program that cleans /tmp. The host takes the name again at once,
// unless another one has it. If another one serves in the directory that is in the place of
// this host's, this host reports that, and gives it 9 seconds to leave: the directories of
// two hosts may have been exchanged. Connections are not affected. Linux only.
type EndpointError struct {
	Endpoint string

	// Ended means that another process serves the endpoint, and that this host accepts
	// no more clients. errors.Is holds for [ErrEndpointInUse], and the error's text has
	// the process if it is known. The host still has to be closed.
	Ended bool

	// Served means that clients find the host again. Without Ended and Served they do
	// not yet: the host goes on trying, and reports when it has succeeded, or has Ended.
	Served bool

	// Err says what was removed or replaced, and why the endpoint is not served.
	Err error
}

func (e *EndpointError) Error() string { return fmt.Sprintf("endpoint %q: %v", e.Endpoint, e.Err) }

// Unwrap returns Err.
func (e *EndpointError) Unwrap() error { return e.Err }

// OmittedError is what [Config.OnError] gets for many clients of one user that the host
// refused, or that failed to connect.
type OmittedError struct {
	UID    uint32 // the user; meaningless with Others
	Others bool   // the clients are of several users, beyond those that are told apart
	Count  uint64 // clients since the last report
	Err    error  // why the last of them did not get in
}

func (e *OmittedError) Error() string {
	whose := fmt.Sprintf("user %d", e.UID)
	if e.Others {
		whose = "other users"
	}
	return fmt.Sprintf("%d more clients of %s did not get in; the last: %v", e.Count, whose, e.Err)
}

// Unwrap returns why the last of them did not get in.
func (e *OmittedError) Unwrap() error { return e.Err }

// Unwrap returns the cause.
func (e *ConnError) Unwrap() error { return e.Err }
