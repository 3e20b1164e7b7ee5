// Package peer says who is at the other end of a connection, and decides
// whether that one may talk to us.
//
// A Token has the eight words of Darwin's audit token on every system. An
// Identity is a process as the kernel describes it, and what can be learned of
// it while it lives: executable, digest, LSM label, unit, code signature. A
// Policy is a rule over identities; rules combine by AllOf, AnyOf and Not:
//
//	peer.AllOf(peer.SameUser(), peer.Executable("/usr/bin/example"))
//
// Without a choice of your own, Default is the policy: the same user, or root.
//
// What is guaranteed: nothing is decided by a pid; what was read under /proc is
// believed only after the pidfd has shown that the process still lived; a rule
// that cannot be evaluated, on this system or about this peer, refuses, and so
// does its negation; no identity means no.
//
// What is not: that a process of the right user is a friendly one. Whoever has
// the peer's user id can usually debug it, and so be it. docs/IDENTITY.md says
// what each attribute proves and which races remain.
package peer
