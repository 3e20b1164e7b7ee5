package peer

import (
	"fmt"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer/internal/codesign"
	_ "github.com/sealport/sealport/peer/internal/codesign/codesource" // asks the kernel
	"github.com/sealport/sealport/peer/internal/peercred"
)

// Identify makes an Identity of the audit token that the kernel attached to the
// peer's hello. It makes no system call, and may be called concurrently. c stays the
// caller's; the caller closes the Identity. Errors: [ErrNoIdentity] when there is
// no token, or it is all zero, as the kernel's own is.
func Identify(c *cred.Credentials) (*Identity, error) {
	if c == nil {
		return nil, ErrNoIdentity
	}
	return identifyToken(c.AuditToken, codesign.Installed())
}

// Self returns the identity of this process. Its [Identity.Binding] is what every
// peer finds in this process's audit token, until one of its ids changes. It does not
// block, and may be called concurrently. The caller closes the Identity. Errors:
// [ErrNoIdentity] where the kernel can't be asked, else the kernel's.
func Self() (*Identity, error) {
	src := codesign.Installed()
	if src == nil {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, unavailable("audit token"))
	}
	words, err := src.SelfToken()
	if err != nil {
		return nil, fmt.Errorf("peer: own identity: %w", err)
	}
	return identifyToken(words, src)
}

// identifyConn makes an identity of the process that last used the other end of a
// socket. Its effective ids must be those that made that end: the kernel finds the
// process by its pid, and so may find a later one.
func identifyConn(k *peercred.Credentials) (*Identity, error) {
	id, err := identifyToken(k.AuditToken, codesign.Installed())
	if err != nil {
		return nil, err
	}
	id.byNumber = k.ByNumber
	id.connector = Connector{UID: k.Socket.UID, GID: k.Socket.GID, Differs: true}
	if err := id.hasIDs(k.Socket.UID, k.Socket.GID); err != nil {
		return nil, err
	}
	return id, nil
}

func identifyNumbered(int, int) (*Identity, error) { return nil, unsupported() }
