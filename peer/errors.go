package peer

import "errors"

var (
	// ErrRefused is answered by every error of [Check]: the policy refuses the
	// peer, or cannot be evaluated here, or the peer is gone.
	ErrRefused = errors.New("peer: refused")

	// ErrNoIdentity means that the kernel does not tell which process the peer is.
	ErrNoIdentity = errors.New("peer: no kernel-verified identity")

	// ErrGone means that the peer's process has exited. Another process with
	// the same pid is not the peer: the answer stays ErrGone.
	ErrGone = errors.New("peer: process has exited")

	// ErrChanged means that the process has changed since its identity was taken, or
	// its connection was made: it runs another executable or has other ids.
	ErrChanged = errors.New("peer: process has changed")

	// ErrContradiction means that the credentials of the peer contradict each
	// other, as when a privileged sender claims the ids of another process, writes to
	// a connection that another user made, or a pidfd is not that of the pid.
	ErrContradiction = errors.New("peer: contradictory credentials")

	// ErrUnavailable means that something cannot be learned about the peer on
	// this system, on this kernel, or with our rights.
	ErrUnavailable = errors.New("peer: not available")
)
