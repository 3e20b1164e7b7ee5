package peer

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// TokenSize is the length in bytes of a Token's encoding.
const TokenSize = 32

// unset is how the kernels write "no audit user" and "no audit session".
const unset = ^uint32(0)

// Token has the eight words of Darwin's audit_token_t on every system. It is
// comparable: two tokens are equal if all words are, and both or neither are weak.
//
// On Darwin the kernel fills it, for each message. On Linux it is assembled
// from the process's pidfd:
//
//	word  Darwin      Linux
//	0     auid        loginuid, 0xFFFFFFFF if unset
//	1     euid        euid
//	2     egid        egid
//	3     ruid        ruid
//	4     rgid        rgid
//	5     pid         thread group id; 0 if invisible from our pid namespace
//	6     asid        audit session id, 0xFFFFFFFF if unset
//	7     pidversion  low 32 bits of the pidfs inode; 0 in a weak token
//
// A pid alone names nothing, as it is reused: words 5 and 7 together name a process,
// and on Linux word 7 does not change with exec. The zero Token is that of no process
// (on Darwin it is the kernel's own) and no policy accepts it.
//
// Methods make no system calls and may be called concurrently.
type Token struct {
	words [8]uint32
	weak  bool
}

// TokenFromWords returns the [Token] with these words in the order of
// audit_token_t, as Darwin's kernel attaches them to a message. It is not weak.
func TokenFromWords(words [8]uint32) Token { return Token{words: words} }

// Words returns the eight words.
func (t Token) Words() [8]uint32 { return t.words }

// Bytes returns the words in order, each little-endian: on every Darwin machine
// the bytes of audit_token_t as it lies in memory. The slice is the caller's.
func (t Token) Bytes() []byte {
	b := make([]byte, 0, TokenSize)
	for _, w := range t.words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// AUID is the audit user: the user that logged in, even if the process has taken other
// ids since.
func (t Token) AUID() uint32 { return t.words[0] }

// EUID is the effective user id. It alone does not tell which user decides what a
// process writes: see [UIDs].
func (t Token) EUID() uint32 { return t.words[1] }

// EGID is the effective group id.
func (t Token) EGID() uint32 { return t.words[2] }

// RUID is the real user id: that of the user who started a set-user-ID program.
func (t Token) RUID() uint32 { return t.words[3] }

// RGID is the real group id.
func (t Token) RGID() uint32 { return t.words[4] }

// PID is the process id. Do not authorize by it: it is reused.
func (t Token) PID() uint32 { return t.words[5] }

// ASID is the audit session.
func (t Token) ASID() uint32 { return t.words[6] }

// PIDVersion distinguishes processes that have had the same pid.
func (t Token) PIDVersion() uint32 { return t.words[7] }

// Weak reports whether the token lacks a PIDVersion because the kernel has none
// to give (Linux before 6.9): it does not distinguish a process from a later one
// with the same pid.
func (t Token) Weak() bool { return t.weak }

// String returns all words with their names, for logs: "unknown" for the zero Token, and
// for a pid that is invisible here.
func (t Token) String() string {
	if t == (Token{}) {
		return "unknown" // not root, whose ids are zero
	}
	s := fmt.Sprintf("pid=%s version=%d euid=%d egid=%d ruid=%d rgid=%d auid=%s asid=%s",
		orUnknown(t.PID()), t.PIDVersion(), t.EUID(), t.EGID(), t.RUID(), t.RGID(), orUnset(t.AUID()), orUnset(t.ASID()))
	if t.weak {
		s += " weak"
	}
	return s
}

// orUnknown is a pid. The kernels give 0 for one that has none in our pid namespace.
func orUnknown(pid uint32) string {
	if pid == 0 {
		return "unknown"
	}
	return strconv.FormatUint(uint64(pid), 10)
}

func orUnset(n uint32) string {
	if n == unset {
		return "unset"
	}
	return strconv.FormatUint(uint64(n), 10)
}
