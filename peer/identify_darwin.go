package peer

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer/internal/codesign"
	_ "github.com/sealport/sealport/peer/internal/codesign/codesource" // asks the kernel
)

// Identify makes an Identity of the audit token that the kernel attached to the
// peer's hello. It makes no system call. Errors: ErrNoIdentity when there is no
// token, or it is all zero, as the kernel's own is.
func Identify(c *cred.Credentials) (*Identity, error) {
	if c == nil {
		return nil, ErrNoIdentity
	}
	return identifyToken(c.AuditToken, codesign.Installed())
}

// Self returns the identity of this process. Its Binding is what every peer finds
// in this process's audit token, until one of its ids changes.
func Self() (*Identity, error) {
	src := codesign.Installed()
	if src == nil {
		return nil, fmt.Errorf("own identity: %w", errors.Join(ErrNoIdentity, unavailable("audit token")))
	}
	words, err := src.SelfToken()
	if err != nil {
		return nil, fmt.Errorf("own identity: %w", err)
	}
	return identifyToken(words, src)
}
