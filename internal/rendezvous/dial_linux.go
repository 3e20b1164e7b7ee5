package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/ringlink"
	"github.com/sealport/sealport/internal/shmring"
	"github.com/sealport/sealport/internal/socklink"
	"github.com/sealport/sealport/internal/unixsock"
)

// Outgoing is a host's answer to a client's hello. It is used by one goroutine.
type Outgoing struct {
	o     Options
	sock  *unixsock.Conn
	cred  *cred.Credentials
	setup setup
	fd    int // the memory file, or -1
}

// Dial finds the host of an endpoint, says hello and waits for the answer, until
// ctx ends.
func Dial(ctx context.Context, endpoint string, hello []byte, o Options) (*Outgoing, error) {
	if err := CheckName(endpoint); err != nil {
		return nil, err
	}
	dir, err := openFolder(o, false)
	if err != nil {
		return nil, err
	}
	defer dir.close()
	place := fileName(endpoint) + ".sock"
	if err := dir.isSocket(place); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, endpoint, dir.path)
	} else if err != nil {
		return nil, err
	}
	sock, err := unixsock.Dial(ctx, dir.socketPath(place))
	switch {
	case err == nil:
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("%w: the host of %s has ended", ErrNotFound, endpoint)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w: the endpoint %s in %s is for other users", ErrPermission, endpoint, dir.path)
	case errors.Is(err, unix.EPROTOTYPE), errors.Is(err, unix.ENOTSOCK):
		return nil, fmt.Errorf("%w: %s/%s is a socket of another type", ErrNotEndpoint, dir.path, place)
	default:
		return nil, err
	}
	out := &Outgoing{o: o, sock: sock, fd: -1}
	if err := out.exchange(ctx, hello); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

func (out *Outgoing) exchange(ctx context.Context, hello []byte) error {
	ask := setup{carrier: carrierNone, ring: uint32(out.o.BufferSize), hello: hello}
	if out.o.Attested {
		ask.carrier = carrierSocket
	}
	if err := out.sock.Send(ctx, ask.append(nil), nil, -1); err != nil {
		return setupError(err)
	}
	s, ctl, err := receiveSetup(ctx, out.sock, make([]byte, setupSize+maxHello))
	if err != nil {
		return err
	}
	defer ctl.Close()
	if out.cred, err = out.sock.Credentials(&ctl); err != nil {
		return err
	}
	if (s.carrier == carrierRing) != (ctl.FD >= 0) || out.o.Attested && s.carrier == carrierRing {
		return fmt.Errorf("%w: the host answered with a carrier that was not asked for", ErrSetup)
	}
	out.setup = s
	out.fd, ctl.FD = ctl.FD, -1
	return nil
}

// Hello is the host's.
func (out *Outgoing) Hello() []byte { return out.setup.hello }

// Accepted reports whether the host made a link; else its hello says why not.
func (out *Outgoing) Accepted() bool { return out.setup.carrier != carrierNone }

// Credentials are the kernel's word on who sent the answer. They stay owned by
// the Outgoing, and by the Link after Link.
func (out *Outgoing) Credentials() *cred.Credentials { return out.cred }

// Link makes the link. It ends the Outgoing, on error too.
func (out *Outgoing) Link() (link.Link, error) {
	switch out.setup.carrier {
	case carrierSocket:
		return socklink.New(out.sock, out.cred)
	case carrierRing:
		m, err := shmring.Open(out.fd, int(out.setup.ring))
		if err == nil {
			if err = out.sock.StopCredentials(); err != nil {
				err = errors.Join(err, m.Unmap())
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrSetup, err), out.Close())
		}
		out.closeFD()
		return ringlink.New(m, shmring.Client, out.sock, out.cred, ringlink.Options{PollThreshold: out.o.PollThreshold}), nil
	}
	return nil, errors.Join(fmt.Errorf("%w: refused", ErrSetup), out.Close())
}

func (out *Outgoing) closeFD() {
	if out.fd >= 0 {
		_ = unixsock.CloseFD(out.fd)
		out.fd = -1
	}
}

// Close ends the Outgoing without a link.
func (out *Outgoing) Close() error {
	out.closeFD()
	return errors.Join(out.sock.Close(), out.cred.Close())
}
