package mach

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// CodeSignOp is an operation of csops(2) (xnu bsd/sys/codesign.h).
type CodeSignOp uint32

const (
	CodeSignStatus             CodeSignOp = 0  // CodeFlags
	CodeSignCDHash             CodeSignOp = 5  // CDHashSize bytes
	CodeSignIdentity           CodeSignOp = 11 // a blob: signing identifier
	CodeSignTeamID             CodeSignOp = 14 // a blob: team identifier
	CodeSignValidationCategory CodeSignOp = 17 // a 32-bit word
)

// CDHashSize is the size in bytes of a code directory hash as the kernel
// reports it.
const CDHashSize = 20

// CodeFlags is a process's code-signing state (CS_* in cs_blobs.h).
type CodeFlags uint32

const (
	CodeValid        CodeFlags = 0x1
	CodeAdhoc        CodeFlags = 0x2
	CodeGetTaskAllow CodeFlags = 0x4 // debuggers may attach
	CodeHard         CodeFlags = 0x100
	CodeKill         CodeFlags = 0x200
	CodeRequireLV    CodeFlags = 0x2000  // library validation
	CodeRuntime      CodeFlags = 0x10000 // hardened runtime
	CodePlatform     CodeFlags = 0x04000000
	CodeDebugged     CodeFlags = 0x10000000
	CodeSigned       CodeFlags = 0x20000000
)

// ErrNoCodeSign means that the process is not signed, has an invalid signature,
// or the signature has no such field.
var ErrNoCodeSign = errors.New("mach: no such code-signing information")

// ErrNoProcess means that the process the token names has exited or has run
// another program since: its pid and pidversion no longer match.
var ErrNoProcess = errors.New("mach: no process with this audit token")

// blobHeaderSize is a fake blob's magic and length, both big endian.
const blobHeaderSize = 8

// maxCodeSignString bounds identifiers in bytes; csops takes the size of the
// buffer, so longer ones are an error and no allocation.
const maxCodeSignString = 1024

// ParseCodeSignBlob reads the answer to CodeSignIdentity and CodeSignTeamID: a
// header with a big-endian length at byte 4 and a string that ends in NUL.
func ParseCodeSignBlob(b []byte) (string, error) {
	if len(b) < blobHeaderSize {
		return "", fmt.Errorf("%w: blob cut off", ErrMalformed)
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n <= blobHeaderSize || uint64(n) > uint64(len(b)) || b[n-1] != 0 {
		return "", fmt.Errorf("%w: blob of length %d in %d bytes", ErrMalformed, n, len(b))
	}
	s := b[blobHeaderSize : n-1]
	for _, c := range s {
		if c == 0 {
			return "", fmt.Errorf("%w: NUL within a blob's string", ErrMalformed)
		}
	}
	return string(s), nil
}

// CodeSign is what the kernel says of a process's code. It has checked the
// signature's own consistency, not who issued it: a TeamID means nothing unless
// Category, the platform flag or a code requirement vouches for the certificate.
type CodeSign struct {
	Flags      CodeFlags
	CDHash     [CDHashSize]byte
	Identifier string // "" if there is none
	TeamID     string // "" if there is none
	Category   uint32 // validation category; 0 if the system does not tell
}

// QueryCodeSign reports on the process that token names; the kernel compares
// pid and pidversion on each of its calls. It does not block and needs no privilege.
//
// Errors: ErrNoProcess, ErrNoCodeSign (nothing valid to report), or one wrapping
// errors.ErrUnsupported where the system is not Darwin.
func QueryCodeSign(token AuditToken) (CodeSign, error) {
	return queryCodeSign(token, csops)
}

// queryCodeSign asks op by op; call fills buf from its start.
func queryCodeSign(token AuditToken, call func(AuditToken, CodeSignOp, []byte) error) (cs CodeSign, err error) {
	var word [4]byte
	if err := call(token, CodeSignStatus, word[:]); err != nil {
		return CodeSign{}, fmt.Errorf("asking for the code-signing status: %w", err)
	}
	cs.Flags = CodeFlags(le.Uint32(word[:]))
	if err := call(token, CodeSignCDHash, cs.CDHash[:]); err != nil {
		return CodeSign{}, fmt.Errorf("asking for the cdhash: %w", err)
	}
	if cs.Identifier, err = codeSignString(token, CodeSignIdentity, call); err != nil {
		return CodeSign{}, fmt.Errorf("asking for the signing identifier: %w", err)
	}
	if cs.TeamID, err = codeSignString(token, CodeSignTeamID, call); err != nil {
		return CodeSign{}, fmt.Errorf("asking for the team: %w", err)
	}
	// Older systems refuse this operation; 0 is the invalid category.
	switch err := call(token, CodeSignValidationCategory, word[:]); {
	case err == nil:
		cs.Category = le.Uint32(word[:])
	case !errors.Is(err, ErrNoCodeSign):
		return CodeSign{}, fmt.Errorf("asking for the validation category: %w", err)
	}
	return cs, nil
}

// codeSignString returns "" where the signature has no such string.
func codeSignString(token AuditToken, op CodeSignOp, call func(AuditToken, CodeSignOp, []byte) error) (string, error) {
	buf := make([]byte, blobHeaderSize+maxCodeSignString)
	switch err := call(token, op, buf); {
	case errors.Is(err, ErrNoCodeSign):
		return "", nil
	case err != nil:
		return "", err
	}
	return ParseCodeSignBlob(buf)
}
