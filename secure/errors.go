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
	// the other side's log only.
	ErrHandshake = handshake.ErrHandshake

	// ErrTruncated means that the connection ended without the peer's close record:
	// messages may be missing. It is final, and errors.Is holds for
	// [transport.ErrProtocol] too.
	ErrTruncated = fmt.Errorf("secure: %w: connection ended without a close record, messages may be missing", link.ErrProtocol)

	// ErrRecord means that a record did not open or violated the protocol. It is
	// final, and errors.Is holds for [transport.ErrProtocol] too.
	ErrRecord = fmt.Errorf("secure: %w: invalid record", link.ErrProtocol)

	// ErrRevoked means that this side ended the connection because it no longer
	// trusts the peer's key. It is final, and errors.Is holds for
	// [transport.ErrClosed] too.
	ErrRevoked = fmt.Errorf("secure: %w: the peer's key is no longer trusted", link.ErrClosed)
)
