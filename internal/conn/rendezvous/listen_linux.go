package rendezvous

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

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
	o       Options
	sock    *socket.Listener
	owned   *owned   // nil for an adopted socket
	adopted *adopted // nil for an own one
	reserve *reserve
}

// owned is what a listener that made its own socket removes in the end.
type owned struct {
	dir  *directory
	name string
	lock *os.File
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
	dir, err := openDir(o, true)
	if err != nil {
		return nil, err
	}
	name := fileName(endpoint)
	lock, err := dir.lock(name + ".lock")
	if err != nil {
		dir.close()
		return nil, err
	}
	own := &owned{dir: dir, name: name, lock: lock}
	sock, err := own.bind(o)
	if err != nil {
		return nil, errors.Join(err, own.release())
	}
	return &unixListener{o: o, sock: sock, owned: own}, nil
}

// bind makes the socket under another name and moves it to its place when it
// listens, over what a crashed host has left there.
func (w *owned) bind(o Options) (*socket.Listener, error) {
	place, building := w.name+".sock", w.name+".new"
	if err := w.vacant(place); err != nil {
		return nil, err
	}
	if err := w.dir.remove(building); err != nil {
		return nil, err
	}
	mode := socketMode
	if o.Shared {
		mode = socketModeShared
	}
	sock, err := socket.Listen(w.dir.socketPath(building), mode)
	if err != nil {
		return nil, err
	}
	if o.Shared {
		// The umask may have taken more than was asked for.
		err = unix.Fchmodat(w.dir.fd, building, uint32(mode), 0)
	}
	if err == nil {
		err = w.dir.rename(building, place)
	}
	if err != nil {
		return nil, errors.Join(err, sock.Close(), w.dir.remove(building))
	}
	return sock, nil
}

// vacant makes sure that nobody listens at place. A host that holds the lock is
// never met here; a socket of systemd's, or one made by hand, has no lock.
func (w *owned) vacant(place string) error {
	err := w.dir.isSocket(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a full backlog is a living host too
	c, err := socket.Dial(ctx, w.dir.socketPath(place), false)
	if err == nil {
		_ = c.Close()
		return errForeign
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, unix.EPROTOTYPE) {
		return errForeign
	}
	if IsExhausted(err) || errors.Is(err, socket.ErrBacklog) { // nobody was asked
		return err
	}
	return nil
}

// errForeign is for a host that listens without the lock.
var errForeign = fmt.Errorf("%w: another program listens there; stop it, or choose another name", ErrInUse)

// release removes the endpoint's files, the socket first, and gives up the lock.
func (w *owned) release() error {
	defer w.dir.close()
	return errors.Join(w.dir.remove(w.name+".lock"), w.lock.Close())
}

// Close implements Listener.
func (l *unixListener) Close() error {
	defer l.reserve.close()
	if l.adopted != nil {
		err := l.sock.Close()
		if !errors.Is(err, os.ErrClosed) { // the first time
			l.adopted.release()
		}
		return err
	}
	err := l.owned.dir.remove(l.owned.name + ".sock")
	return errors.Join(err, l.sock.Close(), l.owned.release())
}

// Accept implements Listener. Out of descriptors, it accepts one client at a time
// by the reserve, to be refused.
func (l *unixListener) Accept() (Incoming, error) {
	sock, err := l.sock.Accept()
	for noDescriptor(err) && l.o.MakeRoom != nil && l.o.MakeRoom() {
		sock, err = l.sock.Accept()
	}
	if err == nil {
		l.reserve.restore() // unless it is there
		return incoming(l.o, sock)
	}
	if !noDescriptor(err) || !l.reserve.lend() {
		return nil, Explain(err)
	}
	sock, again := l.sock.Accept()
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
