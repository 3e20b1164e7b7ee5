package rendezvous

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/memfd"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/link/socket"
	"github.com/sealport/sealport/internal/wire"
)

// unixListener is a Listener on a socket.
type unixListener struct {
	endpoint string
	o        Options
	session  session
	reserve  *reserve
	watch    *watch                          // nil for an adopted socket
	adopted  *adopted                        // nil for an own one
	sock     atomic.Pointer[socket.Listener] // another one when the name had to be taken again

	mu     sync.Mutex // held while files are made or removed; Accept does not wait for that
	closed bool
	owned  *owned    // nil for an adopted socket, and since left
	left   time.Time // see leave
	lost   string    // what is, until the name leads here again
	inUse  bool      // the lock was in use at the last look
	told   bool      // that it is lost
}

// Listen implements Carrier: it adopts the socket that systemd has passed under this
// name, or makes one.
func (unixCarrier) Listen(endpoint string, o Options) (Listener, error) {
	if err := CheckName(endpoint); err != nil {
		return nil, err
	}
	r, err := openReserve()
	if err != nil {
		return nil, Explain(err)
	}
	l, err := listenUnix(endpoint, o)
	if err != nil {
		r.close()
		return nil, Explain(err)
	}
	l.reserve = r
	return l, nil
}

func listenUnix(endpoint string, o Options) (*unixListener, error) {
	if l, err := listenAdopted(endpoint, o); l != nil || err != nil {
		return l, err
	}
	l := &unixListener{endpoint: endpoint, o: o, session: currentSession(), watch: newWatch()}
	own, sock, err := l.take()
	if err != nil {
		return nil, err
	}
	l.owned = own
	l.sock.Store(sock)
	l.watch.on(own.files()...)
	return l, nil
}

// Close implements Listener.
func (l *unixListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.closed = true
	defer l.reserve.close()
	if l.adopted != nil {
		defer l.adopted.release()
		return l.sock.Load().Close()
	}
	l.watch.close()
	if l.owned == nil {
		return l.sock.Load().Close()
	}
	return l.owned.release(l.sock.Load())
}

// Accept implements Listener.
func (l *unixListener) Accept() (Incoming, error) {
	for {
		sock := l.sock.Load()
		in, err := l.acceptFrom(sock)
		if !errors.Is(err, os.ErrClosed) || sock == l.sock.Load() {
			return in, err
		}
	}
}

// acceptFrom waits for the next client of a socket. Out of descriptors, it accepts one
// client at a time by the reserve, to be refused.
func (l *unixListener) acceptFrom(from *socket.Listener) (Incoming, error) {
	sock, err := from.Accept()
	for noDescriptor(err) && l.o.MakeRoom != nil && l.o.MakeRoom() {
		sock, err = from.Accept()
	}
	if err == nil {
		l.reserve.restore() // unless it is there
		return incoming(l.o, sock)
	}
	if !noDescriptor(err) || !l.reserve.lend() {
		return nil, Explain(err)
	}
	sock, again := from.Accept()
	if again != nil {
		l.reserve.restore()
		return nil, Explain(again)
	}
	in, again := incoming(l.o, sock)
	if again != nil {
		l.reserve.restore()
		return nil, again
	}
	in.exhausted, in.lent = Explain(err), l.reserve
	return in, nil
}

// unixIncoming implements Incoming.
type unixIncoming struct {
	o         Options
	sock      *socket.Conn
	from      fair.Process
	cred      *cred.Credentials
	setup     wire.Setup
	exhausted error    // why it has to be refused
	lent      *reserve // whose descriptor it uses, or nil
}

func noDescriptor(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// incoming is a client that has connected. On error it is closed.
func incoming(o Options, sock *socket.Conn) (*unixIncoming, error) {
	u, err := sock.PeerCred()
	if err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	return &unixIncoming{o: o, sock: sock, from: fair.Process{UID: u.UID, PID: uint32(u.PID)}}, nil
}

// From implements Incoming: who has called connect.
func (in *unixIncoming) From() fair.Process { return in.from }

// Hello implements Incoming.
func (in *unixIncoming) Hello(ctx context.Context) ([]byte, error) {
	s, ctl, err := receiveSetup(ctx, in.sock.Receive)
	if err != nil {
		return nil, Explain(err)
	}
	defer ctl.Close()
	if s.Carrier == wire.CarrierRing {
		return nil, fmt.Errorf("%w: malformed set-up message", wire.ErrSetup)
	}
	if in.exhausted != nil {
		return nil, in.exhausted
	}
	if in.cred, err = in.sock.Credentials(&ctl); err != nil {
		return nil, Explain(err)
	}
	in.setup = s
	return s.Hello, nil
}

// Credentials implements Incoming.
func (in *unixIncoming) Credentials() *cred.Credentials { return in.cred }

// Accept implements Incoming.
func (in *unixIncoming) Accept(ctx context.Context, hello []byte) (link.Link, error) {
	if in.o.Attested || in.setup.Carrier == wire.CarrierSocket {
		return in.acceptSocket(ctx, hello)
	}
	size := in.ringSize()
	m, fd, err := ring.Create(size)
	if IsExhausted(err) {
		return nil, Explain(err)
	}
	if err != nil {
		in.noMemory(err)
		return in.answerSocket(ctx, hello, nil) // which works everywhere
	}
	// Before the answer, after which nothing may fail that Refuse could report.
	err = in.sock.StopCredentials()
	if err == nil {
		answer := wire.Setup{Carrier: wire.CarrierRing, Ring: uint32(size), Hello: hello}
		err = in.sock.Send(ctx, answer.Append(nil), nil, fd)
	}
	_ = socket.CloseFD(fd)
	if err != nil {
		return nil, errors.Join(in.notAccepted(err), m.Unmap())
	}
	return ring.New(m, ring.Host, in.sock, in.cred, ring.Options{PollThreshold: in.o.PollThreshold}), nil
}

// noMemory reports why this process could not make a memory file.
func (in *unixIncoming) noMemory(err error) {
	if in.o.NoMemory != nil {
		in.o.NoMemory(err)
	}
}

// ringSize is the smaller of what both sides ask for.
func (in *unixIncoming) ringSize() int {
	ours, theirs := cmp.Or(in.o.BufferSize, DefaultBufferSize), int(in.setup.Ring)
	if ring.ValidSize(theirs) {
		ours = min(ours, theirs)
	}
	return ours
}

func (in *unixIncoming) acceptSocket(ctx context.Context, hello []byte) (link.Link, error) {
	counts, err := socket.NewCounts()
	if IsExhausted(err) {
		return nil, Explain(err)
	}
	if err != nil {
		in.noMemory(err)
	}
	return in.answerSocket(ctx, hello, counts)
}

// answerSocket is acceptSocket with counts, which may be nil.
func (in *unixIncoming) answerSocket(ctx context.Context, hello []byte, counts *socket.Counts) (link.Link, error) {
	answer := wire.Setup{Carrier: wire.CarrierSocket, Hello: hello}
	err := in.sock.Send(ctx, answer.Append(nil), nil, counts.FD())
	if err != nil {
		return nil, errors.Join(in.notAccepted(err), counts.Close())
	}
	l, err := socket.New(in.sock, in.cred, counts)
	if err != nil {
		// Not IsExhausted, whatever it is: the client has its answer.
		return nil, fmt.Errorf("connection set-up: %v", err)
	}
	return l, nil
}

// notAccepted is Accept's error if the client has no answer.
func (in *unixIncoming) notAccepted(err error) error {
	if IsExhausted(err) {
		return Explain(setupError(err))
	}
	return errors.Join(setupError(err), in.Close())
}

// Refuse implements Incoming.
func (in *unixIncoming) Refuse(ctx context.Context, hello []byte) error {
	err := in.sock.Send(ctx, wire.Setup{Carrier: wire.CarrierNone, Hello: hello}.Append(nil), nil, -1)
	return errors.Join(setupError(err), in.Close())
}

// Close implements Incoming.
func (in *unixIncoming) Close() error {
	err := errors.Join(in.sock.Close(), in.cred.Close())
	if in.lent != nil {
		in.lent.restore()
		in.lent = nil
	}
	return err
}

// receiveSetup receives a set-up message, with what came along.
func receiveSetup(ctx context.Context, receive func(context.Context, []byte) (int, socket.Control, error)) (wire.Setup, socket.Control, error) {
	buf := make([]byte, wire.MaxSetupSize)
	n, ctl, err := receive(ctx, buf)
	if err != nil {
		return wire.Setup{}, ctl, setupError(err)
	}
	s, err := wire.ParseSetup(buf[:n])
	if err != nil {
		ctl.Close()
	}
	return s, ctl, err
}

// setupError gives the socket's errors the names of this package.
func setupError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, socket.ErrReset):
		return fmt.Errorf("connection set-up: %w", link.ErrPeerGone)
	case errors.Is(err, socket.ErrTruncated), errors.Is(err, socket.ErrDescriptor), errors.Is(err, ring.ErrMapping), errors.Is(err, memfd.ErrNotSealed):
		return fmt.Errorf("%w: %w", wire.ErrSetup, err)
	}
	return fmt.Errorf("connection set-up: %w", err)
}
