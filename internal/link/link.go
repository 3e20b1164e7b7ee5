// Package link defines the one interface between the message layer and the
// kernel: ordered, reliable frames between two processes.
//
// Implementations: memlink (in process, for tests), ringlink (Linux shared
// memory), socklink (Linux SOCK_SEQPACKET), machlink (Darwin Mach ports). All of
// them pass the conformance suite in linktest, which is the normative text
// where this one is silent.
package link

import (
	"context"
	"errors"

	"github.com/sealport/sealport/internal/cred"
)

var (
	// ErrPeerGone means that the peer vanished without closing: its process
	// died or dropped the connection. Frames that it wrote before are still
	// read first.
	ErrPeerGone = errors.New("peer vanished without closing the connection")

	// ErrClosed is returned by calls on a Link that this side has closed.
	ErrClosed = errors.New("connection closed by this side")

	// ErrFrameTooLarge is returned by WriteFrame for more than MaxFrame bytes.
	// Nothing is sent and the Link stays usable.
	ErrFrameTooLarge = errors.New("frame too large")

	// ErrProtocol means that the peer broke the rules of the carrier: an index
	// out of range, a frame above the limit, an unknown message. The direction
	// is dead and repeats the error.
	ErrProtocol = errors.New("peer broke the link protocol")

	// ErrPeerChanged means that a frame was sent by another process than the
	// one that said hello (attested carriers only).
	ErrPeerChanged = errors.New("frame sent by another process than the peer")
)

// Link is one end of a duplex connection that carries frames.
//
// One goroutine may write (WriteFrame, CloseWrite, Behind) while another reads
// (ReadFrame); neither side may be used by two goroutines at once. Close may be
// called at any time from any goroutine and unblocks both.
//
// The peer may be hostile: whatever it does ends in an error here or in a call
// that blocks until its context ends, never in a crash, in unbounded memory, or
// in bytes that change after they were returned.
type Link interface {
	// WriteFrame sends one frame: head followed by body, either of which may be
	// empty, at most MaxFrame bytes together. Both are copied before it
	// returns. It blocks while the peer's buffer is full, until ctx ends; after
	// ctx's error nothing of the frame was sent and the Link stays usable.
	//
	// When it returns nil the frame survives the death of this process.
	//
	// Errors: ErrFrameTooLarge, ctx.Err(), ErrClosed (after Close or CloseWrite),
	// ErrPeerGone or io.ErrClosedPipe (the peer died, or closed its end in good
	// order, and reads no more). All but the first two are final.
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
	// only then may the peer's Behind and Unread count it as taken.
	ReadFrame(ctx context.Context) ([]byte, error)

	// MaxFrame is the size in bytes of the largest frame, at least MinMaxFrame
	// and the same for both ends and both directions.
	MaxFrame() int

	// Behind reports whether the peer has not yet taken all that was written:
	// the sign to the layer above to collect small messages into one frame. It
	// makes no system call where the carrier can do without. Writer's side.
	Behind() bool

	// WaitTaken blocks until Behind would return false, ctx ends (ctx.Err()) or
	// the peer is known to take no more (ErrPeerGone, io.ErrClosedPipe). It may
	// be called concurrently with everything else.
	WaitTaken(ctx context.Context) error

	// Unread is the number of frames that were written and that the peer is not
	// known to have taken. It is exact once WriteFrame or WaitTaken has
	// returned ErrPeerGone, as far as the carrier can tell; carriers that hand
	// frames to a kernel queue count those in the queue as taken.
	Unread() uint64

	// Credentials are the kernel's word on the peer at its hello. The Link owns
	// them and closes their descriptors in Close. They may be nil (memlink).
	Credentials() *cred.Credentials

	// CloseWrite ends this side's frames: the peer reads what was written, then
	// io.EOF. It does not block. ReadFrame goes on. Idempotent.
	CloseWrite() error

	// Close does CloseWrite if that has not happened, unblocks every call,
	// releases memory, descriptors and goroutines, and waits for those
	// goroutines. Frames written before still reach the peer. Idempotent.
	Close() error
}

// MinMaxFrame is the smallest MaxFrame that an implementation may have, in
// bytes: the layers above rely on a handshake message fitting into one frame.
const MinMaxFrame = 4096
