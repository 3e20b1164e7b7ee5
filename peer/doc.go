// Package peer identifies the process at the other end of a local connection, and
// decides whether it may talk to this one.
//
// An [Identity] is a process as the kernel describes it, and what can be looked up
// about it while it lives: executable, digest, LSM label, unit, code signature. Its
// [Token] has the eight words of Darwin's audit token on every system. A [Policy] is a
// rule about identities; rules combine by [AllOf], [AnyOf] and [Not]:
//
//	policy := peer.AllOf(peer.SameUser(), peer.Executable("/usr/bin/example"))
//
// Hosts and clients of this module identify their peers themselves and take a Policy in
// their configuration; without one it is [Default]: the same user, or root. For an
// existing daemon, [FromConn] identifies the other end of a [net.UnixConn], [FromPIDFD] a
// process with a pidfd, and [Check] decides.
//
// # What is guaranteed
//
// A process is identified by references that the kernel holds (pidfds, audit tokens),
// not by its pid, except where [Identity.Assurance] says otherwise. What is read from
// /proc is used only after the pidfd has shown that the process still lived. A rule
// that cannot be evaluated, on this system or for this peer, refuses, and so does its
// negation. A peer without an identity is refused.
//
// # What is not
//
// A process of the right user need not be friendly: on Linux, programs of the same user
// can usually debug each other, and this package does not prevent that.
// docs/IDENTITY.md describes what each attribute proves and which races remain.
//
// # Concurrency and blocking
//
// All functions and methods may be called concurrently. Those that parse text, validate,
// make a Policy or only return a value do not block; the others say how long they block.
// Slices that are passed are not kept, and returned slices belong to the caller.
//
// # Systems
//
// Linux and Darwin are supported. Elsewhere the package compiles, and no peer has an
// identity: errors answer errors.Is(err, [errors.ErrUnsupported]).
package peer
