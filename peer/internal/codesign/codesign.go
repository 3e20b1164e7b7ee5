// Package codesign reads a process's code signature from Darwin's kernel and
// decides by it. Only Source touches the system; all else is portable and
// tested everywhere.
package codesign

import (
	"context"
	"errors"
	"sync/atomic"
)

// Operations of csops_audittoken(2), from xnu's bsd/sys/codesign.h.
const (
	OpStatus             = 0  // CS_OPS_STATUS: 4 bytes of flags
	OpCDHash             = 5  // CS_OPS_CDHASH: exactly 20 bytes
	OpIdentity           = 11 // CS_OPS_IDENTITY: a blob with the signing identifier
	OpTeamID             = 14 // CS_OPS_TEAMID: a blob with the team identifier
	OpValidationCategory = 17 // CS_OPS_VALIDATION_CATEGORY: 4 bytes
)

// Errors that a Source answers, each with errors.Is.
var (
	// ErrNoProcess is ESRCH: no process has this pid and pidversion.
	ErrNoProcess = errors.New("codesign: no such process")

	// ErrAbsent is ENOENT: the signature has no such field.
	ErrAbsent = errors.New("codesign: the signature has no such field")

	// ErrUnsigned is EINVAL: the code is unsigned, its signature is invalid, or
	// the kernel does not know the operation.
	ErrUnsigned = errors.New("codesign: unsigned, invalid or unknown to the kernel")
)

// Source is the part of Darwin's kernel and Security.framework that is needed
// here. Its methods may be called concurrently.
type Source interface {
	// Csops fills buf by csops_audittoken(2) about the process with this token.
	Csops(op uint32, token [8]uint32, buf []byte) error

	// CheckRequirement returns nil if the process with this token is validly
	// signed and meets the requirement (SecCodeCheckValidity). It returns
	// ErrUnsatisfied if not, and another error if that can't be found out.
	CheckRequirement(ctx context.Context, token [8]uint32, requirement string) error

	// SelfToken returns our own audit token (task_info, TASK_AUDIT_TOKEN).
	SelfToken() ([8]uint32, error)
}

// ErrUnsatisfied means that the code does not meet the requirement.
var ErrUnsatisfied = errors.New("codesign: the code does not meet the requirement")

var installed atomic.Pointer[Source]

// Install makes s the Source that package peer uses on Darwin. The package that
// makes the system calls does it when it is initialised.
func Install(s Source) { installed.Store(&s) }

// Installed returns the Source, or nil if there is none.
func Installed() Source {
	if s := installed.Load(); s != nil {
		return *s
	}
	return nil
}
