// Package link defines the one interface between the message layer and the
// kernel: ordered, reliable frames between two processes.
//
// Implementations: mem (within a process), ring (Linux, shared memory), socket
// (Linux, SOCK_SEQPACKET), and mach/machlink (Darwin, Mach ports). All of them pass
// the conformance suite in linktest.
package link

import (
	"context"
	"errors"

	"github.com/sealport/sealport/internal/cred"
)

var (
	// ErrPeerGone means that the peer vanished without closing: its process
	// died or dropped the connection. Writers also get it after a peer's Close,
	// since no reader is left. Frames that the peer wrote before are still read
	// first.
	ErrPeerGone = errors.New("peer is gone")

	// ErrClosed is returned by calls on a Link that this side has closed.
	ErrClosed = errors.New("connection closed by this side")

	// ErrFrameTooLarge is returned by WriteFrame for more than MaxFrame bytes.
	// Nothing is sent and the Link stays usable.
	ErrFrameTooLarge = errors.New("frame too large")

	// ErrProtocol means that the peer violated the protocol of the carrier: an index
	// out of range, a frame above the limit, an unknown message. The direction
	// is dead and repeats the error.
	ErrProtocol = errors.New("peer broke the protocol")

	// ErrPeerChanged means that a frame was sent by a process other than
	// the one that sent the hello, or by that one with other user or group ids
	// (attested carriers only). Final.
	ErrPeerChanged = errors.New("frame sent by a process other than the peer")
)

// Link is one end of a duplex connection that carries frames.
//
// One goroutine may write (WriteFrame, CloseWrite, HungUp, Unacknowledged) while another
// reads (ReadFrame, KeepFrame, Buffered); neither side may be used by two goroutines at once.
// Backlogged, WaitDrained, Gone, GoAway, GoingAway, Credentials, MaxFrame, Carrier and Interrupt
// may be called at any time before Close from any goroutine. To end a Link from outside: call
// Interrupt, wait until the reader and the writer have returned, call Close.
// So carriers need no lock of their own on the path of each frame.
//
// The peer may be hostile: whatever it does ends in an error here or in a call
// that blocks until its context ends, never in a crash, in unbounded memory, or
// in bytes that change after they were returned.
type Link interface {
	// WriteFrame sends one frame: head followed by body, either of which may be
	// empty, at most MaxFrame bytes together. Carriers accept an empty frame; the
	// layers above send none. Both are copied before it
	// returns. It blocks while the peer's buffer is full, until ctx ends; after
	// ctx.Err() nothing of the frame was sent and the Link stays usable. It
	// looks at ctx only when it has to block.
	//
	// When it returns nil the frame survives the death of this process.
	//
	// Errors: ErrFrameTooLarge, ctx.Err(), ErrClosed (after Close or
	// CloseWrite), ErrPeerGone, ErrProtocol. All but the first two are final.
	WriteFrame(ctx context.Context, head, body []byte) error

	// ReadFrame waits for the next frame and returns it. The slice lies in
	// private memory that the peer can't change; it is valid, and the caller
	// may write to it, until the next ReadFrame or Close.
	//
	// After the last frame it returns io.EOF if the peer called CloseWrite or
	// Close, else ErrPeerGone. After ctx.Err() the Link stays usable. Other
	// errors (ErrProtocol, ErrPeerChanged, ErrClosed) are final.
	//
	// Calling ReadFrame again says that the frame before has been dealt with:
	// only then does the peer's Unacknowledged leave it out.
	ReadFrame(ctx context.Context) ([]byte, error)

	// KeepFrame leaves the frame that ReadFrame returned last to the caller for good:
	// later calls use other memory. It costs an allocation. It may be called after Close.
	KeepFrame()

	// Buffered reports whether ReadFrame would return a frame out of private
	// memory: then the call touches nothing that Close frees, and the
	// reader need not do yet what it does before it waits.
	Buffered() bool

	// MaxFrame is the size in bytes of the largest frame, at least MinMaxFrame
	// and the same for both ends and both directions.
	MaxFrame() int

	// SyscallPerFrame reports whether a frame costs a system call rather than a few
	// stores, so that it pays to ask Backlogged and to coalesce small messages. It
	// never changes.
	SyscallPerFrame() bool

	// Carrier is what carries the frames: one of the names below. It never changes.
	Carrier() string

	// Backlogged reports whether the peer has fallen behind what was written: the
	// sign for the layer above to coalesce small messages into one frame. Each
	// carrier documents its threshold.
	Backlogged() bool

	// WaitDrained blocks until Backlogged would return false (nil), ctx ends
	// (ctx.Err()), the peer reads no more (ErrPeerGone) or Close (ErrClosed).
	WaitDrained(ctx context.Context) error

	// Unacknowledged is the number of frames that were written and that the peer is not
	// known to have dealt with. After the peer is gone it is the number lost,
	// as far as the carrier can tell: one whose frames wait in a kernel queue
	// may return 1 for any number. Writer's side.
	Unacknowledged() uint64

	// Gone is a context that ends when the peer is known to be dead or to have closed its
	// end. Frames may still wait to be read then.
	Gone() context.Context

	// HungUp reports whether the peer is dead or has closed its end, like Gone, but
	// asks the system where Gone lags behind it. Writer's side.
	HungUp() bool

	// GoAway asks the peer to end its frames: its GoingAway ends. It reaches a peer
	// that reads no frames too. It does not block. A peer may not react to it.
	// Idempotent.
	GoAway()

	// GoingAway is a context that ends when the peer has asked this side to end its frames.
	GoingAway() context.Context

	// Credentials are what the kernel attached to the peer's hello. The Link owns
	// them and closes their descriptors in Close. Nil if there are none, as
	// within a process.
	Credentials() *cred.Credentials

	// CloseWrite ends this side's frames: the peer reads what was written, then
	// io.EOF. ReadFrame goes on. Idempotent.
	//
	// Before that it writes last, if any, for a layer that ends with frames of its
	// own. It blocks while there is no room for them, until ctx ends or Interrupt;
	// where there is room, it writes them even then. Those that it could not write are
	// left out, and it returns the error that WriteFrame would. Without last it does
	// not block.
	CloseWrite(ctx context.Context, last ...[]byte) error

	// Interrupt makes every blocked and every later call return ErrClosed;
	// ReadFrame may return frames that have arrived first. It does not block,
	// frees nothing and may be called at any time, more than once.
	Interrupt()

	// Close does CloseWrite, without waiting, if that has not happened, releases memory,
	// descriptors and goroutines, and waits for those goroutines. Frames written
	// before still reach the peer. No WriteFrame, ReadFrame or WaitDrained may be
	// running. Idempotent; after it only Close, Interrupt, Unacknowledged, Gone and GoingAway may
	// be called.
	Close() error
}

// Names of carriers.
const (
	Ring   = "ring"   // shared memory
	Socket = "socket" // a Unix socket
	Mach   = "mach"   // Mach ports
	Memory = "memory" // within a process
)

// MinMaxFrame is the smallest MaxFrame that an implementation may have, in
// bytes: the layers above rely on a handshake message fitting into one frame.
const MinMaxFrame = 4096
