package rendezvous

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/link/socket"
	"github.com/sealport/sealport/internal/wire"
)

// unixOutgoing implements Outgoing.
type unixOutgoing struct {
	o     Options
	sock  *socket.Conn
	cred  *cred.Credentials
	setup wire.Setup
	fd    int // the memory file, or -1
}

// Dial implements Carrier.
func (unixCarrier) Dial(ctx context.Context, endpoint string, hello []byte, o Options) (Outgoing, error) {
	if err := CheckName(endpoint); err != nil {
		return nil, err
	}
	dir, err := openDir(o, currentSession(), false)
	if err != nil {
		return nil, Explain(err)
	}
	defer dir.close()
	file := fileName(endpoint) + ".sock"
	if err := dir.isSocket(file); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no host serves it in %v; %s", ErrNotFound, dir.place, notFoundAdvice)
	} else if err != nil {
		return nil, err
	}
	sock, err := dir.dial(ctx, file, true)
	switch {
	case err == nil:
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("%w: its host has ended; start the host again", ErrNotFound)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w: this user may not connect to the endpoint in %s; to allow other users, the host must set Config.Shared", ErrPermission, dir.path)
	case errors.Is(err, unix.EPROTOTYPE), errors.Is(err, unix.ENOTSOCK):
		return nil, fmt.Errorf("%w: %s/%s is a socket of another type; remove it, or choose another name", ErrNotEndpoint, dir.path, file)
	default:
		return nil, Explain(err)
	}
	out := &unixOutgoing{o: o, sock: sock, fd: -1}
	if err := out.exchange(ctx, hello); err != nil {
		return nil, errors.Join(Explain(err), out.Close())
	}
	return out, nil
}

func (out *unixOutgoing) exchange(ctx context.Context, hello []byte) error {
	ask := wire.Setup{Carrier: wire.CarrierNone, Ring: uint32(cmp.Or(out.o.BufferSize, DefaultBufferSize)), Hello: hello}
	if out.o.Attested {
		ask.Carrier = wire.CarrierSocket
	}
	if err := out.sock.Send(ctx, ask.Append(nil), nil, -1); err != nil {
		return setupError(err)
	}
	s, ctl, err := receiveSetup(ctx, out.sock.ReceiveDescriptor)
	if err != nil {
		return err
	}
	defer ctl.Close()
	if err := out.sock.RefuseDescriptors(); err != nil { // no other is expected
		return setupError(err)
	}
	if out.cred, err = out.sock.Credentials(&ctl); err != nil {
		return err
	}
	if out.o.Attested && s.Carrier == wire.CarrierRing {
		return fmt.Errorf("%w: the host answered with a carrier that was not requested", wire.ErrSetup)
	}
	if s.Carrier == wire.CarrierRing && ctl.FD < 0 || s.Carrier == wire.CarrierNone && ctl.FD >= 0 {
		return fmt.Errorf("%w: the host's answer must have a descriptor if it is a ring, and none if it is a refusal", wire.ErrSetup)
	}
	if s.Carrier == wire.CarrierRing && s.Ring > ask.Ring {
		return fmt.Errorf("%w: the host answered with a ring of %d bytes, of which at most %d were requested", wire.ErrSetup, s.Ring, ask.Ring)
	}
	out.setup = s
	out.fd, ctl.FD = ctl.FD, -1
	return nil
}

// Hello implements Outgoing.
func (out *unixOutgoing) Hello() []byte { return out.setup.Hello }

// Accepted implements Outgoing.
func (out *unixOutgoing) Accepted() bool { return out.setup.Carrier != wire.CarrierNone }

// Credentials implements Outgoing.
func (out *unixOutgoing) Credentials() *cred.Credentials { return out.cred }

// Link implements Outgoing.
func (out *unixOutgoing) Link() (link.Link, error) {
	switch out.setup.Carrier {
	case wire.CarrierSocket:
		return out.socketLink()
	case wire.CarrierRing:
		m, err := ring.Open(out.fd, int(out.setup.Ring))
		if err == nil {
			if err = out.sock.StopCredentials(); err != nil {
				err = errors.Join(err, m.Unmap())
			}
		}
		if err != nil {
			return nil, errors.Join(Explain(setupError(err)), out.Close())
		}
		_ = socket.CloseFD(out.fd) // a memory file takes no time to close
		out.fd = -1
		return ring.New(m, ring.Client, out.sock, out.cred, ring.Options{PollThreshold: out.o.PollThreshold}), nil
	}
	return nil, errors.Join(fmt.Errorf("%w: refused", wire.ErrSetup), out.Close())
}

// socketLink is Link for a socket.
func (out *unixOutgoing) socketLink() (link.Link, error) {
	var counts *socket.Counts
	if out.fd >= 0 {
		var err error
		if counts, err = socket.OpenCounts(out.fd); err != nil {
			return nil, errors.Join(Explain(setupError(err)), out.Close())
		}
		out.fd = -1
	}
	return socket.New(out.sock, out.cred, counts)
}

// Close implements Outgoing.
func (out *unixOutgoing) Close() error {
	if out.fd >= 0 {
		socket.CloseForeign(out.fd)
		out.fd = -1
	}
	return errors.Join(out.sock.Close(), out.cred.Close())
}
