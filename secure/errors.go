package secure

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link"
)

var (
	// ErrHandshake means that the handshake failed. What the other side had
	// against it is in the other side's log; what this side had is found in the
	// error: see package handshake, and keys.ErrUntrusted.
	ErrHandshake = errors.New("secure handshake failed")

	// ErrTruncated means that the connection ended without the peer's sealed
	// goodbye: messages may be missing. It answers
	// errors.Is(err, transport.ErrProtocol) too.
	ErrTruncated = fmt.Errorf("%w: connection ended without a sealed goodbye", link.ErrProtocol)

	// ErrRecord means that a record did not open or broke the protocol. Final. It
	// answers errors.Is(err, transport.ErrProtocol) too.
	ErrRecord = fmt.Errorf("%w: bad record", link.ErrProtocol)

	// ErrRevoked means that this side has ended the connection because the
	// peer's key is no longer trusted. It answers
	// errors.Is(err, transport.ErrClosed) too.
	ErrRevoked = fmt.Errorf("%w: the peer's key is no longer trusted", link.ErrClosed)
)
