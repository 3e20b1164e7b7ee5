package peer

import "errors"

var (
	// ErrRefused is answered by every error of Check: the policy did not say
	// yes, because it says no, cannot be evaluated here, or the peer is gone.
	ErrRefused = errors.New("peer refused")

	// ErrNoIdentity means that the kernel did not say who the peer is.
	ErrNoIdentity = errors.New("peer without a kernel identity")

	// ErrGone means that the peer's process has exited. Another process with
	// the same pid is not the peer: the answer stays ErrGone.
	ErrGone = errors.New("peer process has exited")

	// ErrChanged means that the process is no longer what it was when its
	// identity was taken: it runs another executable or has other ids.
	ErrChanged = errors.New("peer process has changed")

	// ErrContradiction means that the kernel's facts about the peer do not fit
	// together, as when a privileged sender claims the ids of somebody else or
	// writes to a connection that another user made.
	ErrContradiction = errors.New("contradicting credentials")

	// ErrUnavailable means that something cannot be learned about the peer on
	// this system, on this kernel, or with our rights.
	ErrUnavailable = errors.New("not available")
)
