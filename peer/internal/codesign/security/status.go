package security

import (
	"fmt"

	"github.com/sealport/sealport/peer/internal/codesign"
)

// Status is an OSStatus other than 0.
type Status int32

// The answers that are told apart (Security/CSCommon.h).
const (
	errSignatureInvalid Status = -67049
	errRequirement      Status = -67050 // errSecCSReqFailed
	errReqInvalid       Status = -67052 // the requirement can't be parsed
	errSignatureFailed  Status = -67061
	errUnsigned         Status = -67062
	errNoSuchCode       Status = -67065
)

// Error gives the number, which `security error` on a Mac explains.
func (s Status) Error() string { return fmt.Sprintf("security: OSStatus %d", int32(s)) }

// Is makes the answers answer codesign's errors.
func (s Status) Is(target error) bool {
	switch target {
	case codesign.ErrUnsatisfied:
		return s == errRequirement || s == errUnsigned || s == errSignatureFailed || s == errSignatureInvalid
	case codesign.ErrNoProcess:
		return s == errNoSuchCode
	}
	return false
}
