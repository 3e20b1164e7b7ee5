package codesign

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Flags of a process's code signature, from xnu's bsd/sys/codesign.h and osfmk/kern/cs_blobs.h.
const (
	FlagValid        = 0x00000001 // CS_VALID
	FlagAdhoc        = 0x00000002 // CS_ADHOC
	FlagGetTaskAllow = 0x00000004 // CS_GET_TASK_ALLOW
	FlagHard         = 0x00000100 // CS_HARD
	FlagKill         = 0x00000200 // CS_KILL
	FlagRequireLV    = 0x00002000 // CS_REQUIRE_LV
	FlagRuntime      = 0x00010000 // CS_RUNTIME
	FlagPlatform     = 0x04000000 // CS_PLATFORM_BINARY
	FlagDebugged     = 0x10000000 // CS_DEBUGGED
	FlagSigned       = 0x20000000 // CS_SIGNED
)

// Category is CS_VALIDATION_CATEGORY_*: which chain of certificates the system
// has verified. Without one of Apple's the strings in a signature are whatever
// its maker wrote.
type Category uint32

// Validation categories, from xnu's osfmk/kern/cs_blobs.h.
const (
	CategoryInvalid      Category = 0
	CategoryPlatform     Category = 1
	CategoryTestFlight   Category = 2
	CategoryDevelopment  Category = 3
	CategoryAppStore     Category = 4
	CategoryEnterprise   Category = 5
	CategoryDeveloperID  Category = 6
	CategoryLocalSigning Category = 7
	CategoryRosetta      Category = 8
	CategoryOOPJIT       Category = 9
	CategoryNone         Category = 10
)

// CDHashSize is the length in bytes of a code directory hash (CS_CDHASH_LEN).
const CDHashSize = 20

// maxBlob bounds the strings of a signature, in bytes. Identifiers are bundle
// ids and team ids ten characters.
const maxBlob = 1024

// blobHeader is the length of a blob's header: a magic number and the length of the
// whole, both big-endian (csops_copy_token in xnu's bsd/kern/kern_proc.c).
const blobHeader = 8

// ErrMalformed means that the kernel's answer does not look as it should.
var ErrMalformed = errors.New("codesign: malformed answer")

// Code is a process's code signature as the kernel reports it.
type Code struct {
	Flags       uint32
	Identifier  string
	Team        string // "" if the signature has none
	CDHash      [CDHashSize]byte
	Category    Category
	HasCategory bool // false on systems without it
}

// Read asks for all of a process's Code. The flags are read first and last, and
// must be valid both times, so that code that turned invalid in between is not
// believed. Errors: ErrNoProcess, ErrUnsigned, ErrMalformed.
func Read(src Source, token [8]uint32) (Code, error) {
	var c Code
	var err error
	if c.Flags, err = readWord(src, OpStatus, token); err != nil {
		return Code{}, fmt.Errorf("reading flags: %w", err)
	}
	if c.Flags&FlagValid == 0 {
		return Code{}, fmt.Errorf("flags %#x: %w", c.Flags, ErrUnsigned)
	}
	if err := src.Csops(OpCDHash, token, c.CDHash[:]); err != nil {
		return Code{}, fmt.Errorf("reading cdhash: %w", err)
	}
	if c.Identifier, err = readBlob(src, OpIdentity, token); err != nil {
		return Code{}, fmt.Errorf("reading identifier: %w", err)
	}
	if c.Team, err = readBlob(src, OpTeamID, token); err != nil && !errors.Is(err, ErrAbsent) {
		return Code{}, fmt.Errorf("reading team: %w", err)
	}
	category, err := readWord(src, OpValidationCategory, token)
	switch {
	case err == nil:
		c.Category, c.HasCategory = Category(category), true
	case errors.Is(err, ErrUnsigned): // an older system: the operation is unknown
	default:
		return Code{}, fmt.Errorf("reading validation category: %w", err)
	}
	last, err := readWord(src, OpStatus, token)
	if err != nil {
		return Code{}, fmt.Errorf("reading flags again: %w", err)
	}
	if last&FlagValid == 0 {
		return Code{}, fmt.Errorf("flags %#x: %w", last, ErrUnsigned)
	}
	c.Flags = last
	return c, nil
}

// Chained reports whether the system has verified a chain of certificates up to
// Apple, so that Identifier and Team are what an authority has certified.
func (c Code) Chained() bool {
	switch c.Category {
	case CategoryPlatform, CategoryTestFlight, CategoryDevelopment, CategoryAppStore, CategoryEnterprise, CategoryDeveloperID:
		return c.HasCategory
	}
	return false
}

// readWord reads 4 bytes that are one number in the machine's byte order, which
// is little-endian on every Darwin machine.
func readWord(src Source, op uint32, token [8]uint32) (uint32, error) {
	var b [4]byte
	if err := src.Csops(op, token, b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]), nil
}

func readBlob(src Source, op uint32, token [8]uint32) (string, error) {
	var b [maxBlob]byte
	if err := src.Csops(op, token, b[:]); err != nil {
		return "", err
	}
	return DecodeBlob(b[:])
}

// DecodeBlob returns the string of a blob as CS_OPS_IDENTITY and CS_OPS_TEAMID
// give it: the header, then the string and a zero byte, all within the length
// that the header names. What follows in b is ignored.
func DecodeBlob(b []byte) (string, error) {
	if len(b) < blobHeader {
		return "", fmt.Errorf("blob of %d bytes: %w", len(b), ErrMalformed)
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n <= blobHeader || uint64(n) > uint64(len(b)) {
		return "", fmt.Errorf("blob that claims %d of %d bytes: %w", n, len(b), ErrMalformed)
	}
	s := b[blobHeader:n]
	// One zero byte, at the end: two strings in one would be read differently
	// by code that stops at the first.
	for i, c := range s {
		if (c == 0) != (i == len(s)-1) {
			return "", fmt.Errorf("blob string: %w", ErrMalformed)
		}
	}
	if len(s) < 2 {
		return "", fmt.Errorf("empty blob string: %w", ErrMalformed)
	}
	return string(s[:len(s)-1]), nil
}
