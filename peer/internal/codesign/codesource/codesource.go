// Package codesource answers package codesign's questions from Darwin's kernel.
// Importing it makes it codesign's Source there; elsewhere it does nothing.
//
// Code requirements are checked by Security.framework, which is linked only into
// programs that import peer/coderequirement; in others they can't be evaluated,
// which policies take for a refusal.
package codesource

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/peer/internal/codesign"
)

// ErrNoRequirements means that this program can't check code requirements.
var ErrNoRequirements = fmt.Errorf("code requirements need an import of peer/coderequirement: %w", errors.ErrUnsupported)

// Checker is CheckRequirement of package security.
type Checker func(ctx context.Context, token [8]uint32, requirement string) error

var checker atomic.Pointer[Checker]

// SetChecker makes c check code requirements from now on.
func SetChecker(c Checker) { checker.Store(&c) }

// Source implements codesign.Source.
type Source struct{}

var _ codesign.Source = Source{}

// Csops implements codesign.Source.
func (Source) Csops(op uint32, token [8]uint32, buf []byte) error {
	err := mach.Csops(op, token, buf)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("%w: %w", codesign.ErrNoProcess, err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: %w", codesign.ErrAbsent, err)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%w: %w", codesign.ErrUnsigned, err)
	}
	return err
}

// CheckRequirement implements codesign.Source. Without a Checker it returns
// ErrNoRequirements.
func (Source) CheckRequirement(ctx context.Context, token [8]uint32, requirement string) error {
	c := checker.Load()
	if c == nil {
		return ErrNoRequirements
	}
	return (*c)(ctx, token, requirement)
}

// SelfToken implements codesign.Source.
func (Source) SelfToken() ([8]uint32, error) {
	k, err := mach.Open()
	if err != nil {
		return [8]uint32{}, err
	}
	return k.Token()
}
