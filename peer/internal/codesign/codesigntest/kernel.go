// Package codesigntest is a kernel that answers csops_audittoken(2) as Darwin's
// does, for tests on any system.
package codesigntest

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/sealport/sealport/peer/internal/codesign"
)

// ErrMalformedRequirement is a requirement that does not compile.
var ErrMalformedRequirement = errors.New("codesigntest: malformed requirement")

// Kernel is a codesign.Source that knows one process.
type Kernel struct {
	Token      [8]uint32 // the process; others do not exist
	Flags      uint32
	Identifier string
	Team       string // absent if empty
	CDHash     [codesign.CDHashSize]byte
	Category   codesign.Category
	NoCategory bool   // the kernel does not know that operation
	Unsigned   bool   // no signature at all
	Satisfies  string // the only requirement that the code meets

	// Then, if set, replaces Flags after the first look at them.
	Then *uint32
}

// Csops implements codesign.Source.
func (k *Kernel) Csops(op uint32, token [8]uint32, buf []byte) error {
	if token != k.Token {
		return codesign.ErrNoProcess
	}
	if op == codesign.OpStatus {
		binary.LittleEndian.PutUint32(buf, k.Flags)
		if k.Then != nil {
			k.Flags = *k.Then
		}
		return nil
	}
	if k.Unsigned {
		return codesign.ErrUnsigned
	}
	switch op {
	case codesign.OpCDHash:
		copy(buf, k.CDHash[:])
		return nil
	case codesign.OpIdentity:
		return Blob(buf, k.Identifier)
	case codesign.OpTeamID:
		return Blob(buf, k.Team)
	case codesign.OpValidationCategory:
		if !k.NoCategory {
			binary.LittleEndian.PutUint32(buf, uint32(k.Category))
			return nil
		}
	}
	return codesign.ErrUnsigned
}

// CheckRequirement implements codesign.Source.
func (k *Kernel) CheckRequirement(ctx context.Context, token [8]uint32, requirement string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case token != k.Token:
		return codesign.ErrNoProcess
	case requirement == "malformed":
		return ErrMalformedRequirement
	case requirement != k.Satisfies:
		return codesign.ErrUnsatisfied
	}
	return nil
}

// SelfToken implements codesign.Source.
func (k *Kernel) SelfToken() ([8]uint32, error) { return k.Token, nil }

// Blob writes a string as csops does: a magic number of zero, the length of the
// whole, the string, and a zero byte.
func Blob(buf []byte, s string) error {
	if s == "" {
		return codesign.ErrAbsent
	}
	clear(buf)
	binary.BigEndian.PutUint32(buf[4:], uint32(8+len(s)+1))
	copy(buf[8:], s)
	return nil
}
