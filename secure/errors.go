package secure

import (
	"fmt"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
)

// Settings that are invalid, contradict each other or belong to the other role
// are transport.ErrConfig, as in package transport.
var (
	// ErrHandshake means that a handshake or rehandshake failed. It is
	// [handshake.ErrHandshake]. The error contains this side's cause, such as
	// [handshake.ErrOffer] or [keys.ErrUntrusted]; the other side's cause is in
	// the other side's log only. A client whose key the host refuses gets it with
	// [transport.ErrPeerGone], not [transport.ErrRefused], which is for the peer
	// policy and OnConnect. A client whose host could not decide, because it had no
	// descriptors or memory to read its trust file, gets it with
	// [transport.ErrExhausted].
	ErrHandshake = handshake.ErrHandshake

	// ErrTruncated means that the connection was closed without the peer's close
	// record: messages may be missing. The peer has revoked this side's key, or could
	// not send the record because this side did not receive, or the record was
	// removed. A peer whose process dies, as by kill -9, leaves
	// [transport.ErrPeerGone] instead. ErrTruncated is final for receiving, and
	// errors.Is holds for [transport.ErrProtocol] too.
	ErrTruncated error = truncatedError{}

	// ErrRecord means that a record did not open or violated the protocol. It is
	// final, and errors.Is holds for [transport.ErrProtocol] too.
	ErrRecord = fmt.Errorf("secure: %w: invalid record", link.ErrProtocol)

	// ErrRevoked means that this side ended the connection because it no longer
	// trusts the peer's key. It is final for the connection, and errors.Is holds for
	// [transport.ErrClosed] too. A [transport.Client] returns it as the cause of a
	// [*transport.DisconnectedError] and tries to reconnect: test for
	// [transport.ErrDisconnected] before transport.ErrClosed.
	//
	// The peer is not told. It gets ErrTruncated where it receives and
	// [transport.ErrPeerGone] where it sends. A Client whose key was revoked then
	// fails to reconnect, with ErrHandshake in its log.
	ErrRevoked = fmt.Errorf("secure: %w: the peer's key is no longer trusted", link.ErrClosed)
)

type truncatedError struct{}

func (truncatedError) Error() string {
	return "secure: the peer ended the connection without a close record, as it does when it has revoked this side's key; messages may be missing"
}

func (truncatedError) Unwrap() error { return link.ErrProtocol }
