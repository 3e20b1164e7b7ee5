package mach

import "fmt"

// AuditToken is Darwin's audit_token_t: auid, euid, egid, ruid, rgid, pid, asid,
// pidversion. The kernel fills it in for each message when it is sent. It is
// all zero for the kernel itself only.
type AuditToken [8]uint32

// PID is the sender's process at the moment of sending. The number alone is no
// authority: see SameProcess.
func (t AuditToken) PID() int { return int(t[5]) }

// EUID is the sender's effective user.
func (t AuditToken) EUID() uint32 { return t[1] }

// IsKernel reports whether the kernel itself sent the message.
func (t AuditToken) IsKernel() bool { return t == AuditToken{} }

// SameProcess reports whether both tokens are of one process running one
// program: words 5 (pid) and 7 (pidversion, which changes on fork and exec).
func (t AuditToken) SameProcess(o AuditToken) bool { return t[5] == o[5] && t[7] == o[7] }

// SameIDs reports whether both tokens have the same effective and real user and
// group ids: words 1 to 4. A process changes them with setuid(2) and its like.
func (t AuditToken) SameIDs(o AuditToken) bool { return [4]uint32(t[1:5]) == [4]uint32(o[1:5]) }

// Trailer is a mach_msg_audit_trailer_t: what the kernel says of one message.
type Trailer struct {
	Seqno    uint32 // number of messages received from the port before, modulo 2^32
	Security [2]uint32
	Token    AuditToken
	Attested bool // the trailer was long enough to hold the token
}

// Put writes an audit trailer to the first AuditTrailerSize bytes of b.
func (t Trailer) Put(b []byte) {
	_ = b[AuditTrailerSize-1]
	le.PutUint32(b[0:], 0) // MACH_MSG_TRAILER_FORMAT_0
	le.PutUint32(b[4:], AuditTrailerSize)
	le.PutUint32(b[8:], t.Seqno)
	le.PutUint32(b[12:], t.Security[0])
	le.PutUint32(b[16:], t.Security[1])
	for i, w := range t.Token {
		le.PutUint32(b[20+4*i:], w)
	}
}

// ParseTrailer reads a trailer of format 0. A trailer that ends before the
// audit token is no error, but not Attested.
func ParseTrailer(b []byte) (t Trailer, err error) {
	if len(b) < 8 {
		return t, fmt.Errorf("%w: trailer cut off", ErrMalformed)
	}
	format, size := le.Uint32(b), le.Uint32(b[4:])
	if format != 0 || size < 8 || uint64(size) > uint64(len(b)) {
		return t, fmt.Errorf("%w: trailer format %d, size %d", ErrMalformed, format, size)
	}
	if size < AuditTrailerSize {
		return t, nil
	}
	t.Seqno = le.Uint32(b[8:])
	t.Security = [2]uint32{le.Uint32(b[12:]), le.Uint32(b[16:])}
	for i := range t.Token {
		t.Token[i] = le.Uint32(b[20+4*i:])
	}
	t.Attested = true
	return t, nil
}
