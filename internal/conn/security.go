package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/remember"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Side is what a handshake binds, and whom it is with.
type Side struct {
	Endpoint   string
	Self, Peer []byte         // peer.Identity.Binding of the two processes
	Identity   *peer.Identity // of the peer, as admitted by the peer policy; owned by the caller
}

// Proof is what a handshake has shown.
type Proof struct {
	Key  keys.PublicKey // the peer's static key; zero for an anonymous client
	Hash []byte         // the handshake hash: channel binding
}

// Security makes secure links of plain ones. Package secure implements it. Its
// methods may be called concurrently.
type Security interface {
	// HalfOpen is how many handshakes a host may have in progress, in total and with one
	// user.
	HalfOpen() (total, perUser int)

	// Host and Client do the handshake over l and return the link that takes
	// its place. They take l over and close it on error.
	Host(ctx context.Context, l link.Link, s Side) (link.Link, Proof, error)
	Client(ctx context.Context, l link.Link, s Side) (link.Link, Proof, error)

	// Local is called on a client's Security if the client is within the process of
	// the host, whose Security is host: it checks both keys, and returns what each
	// side has shown to the other. ctx is the client's, and ends with the host's
	// set-up too.
	Local(ctx context.Context, endpoint string, host Security) (ofHost, ofClient Proof, err error)
}

// handshake does the handshake of one side over l, if there is a Security. It takes
// l over.
func (c *Config) handshake(ctx context.Context, l link.Link, endpoint string, id *peer.Identity, host bool) (link.Link, Proof, error) {
	if c.Security == nil {
		return l, Proof{}, nil
	}
	self, err := ownBinding(c.Carrier)
	if err != nil {
		l.Interrupt()
		return nil, Proof{}, errors.Join(err, l.Close())
	}
	side := Side{Endpoint: endpoint, Self: self, Peer: id.Binding(), Identity: id}
	if side.Peer == nil {
		l.Interrupt()
		return nil, Proof{}, errors.Join(errNoBinding, l.Close())
	}
	if host {
		return c.Security.Host(ctx, l, side)
	}
	return c.Security.Client(ctx, l, side)
}

// identifySelf returns this process's identity as its peers see it.
func identifySelf(c rendezvous.Carrier) (*peer.Identity, error) {
	k, err := c.Self()
	if err != nil {
		return nil, err
	}
	if k == nil {
		return peer.Self()
	}
	return peer.Identify(k)
}

// ownBinding is what a handshake binds of this process, as its peers see it.
func ownBinding(c rendezvous.Carrier) ([]byte, error) {
	k, err := c.Self()
	if err != nil {
		return nil, err
	}
	if k == nil {
		return selfBinding()
	}
	// An audit token changes with the process's ids.
	return bindingOf(peer.Identify(k))
}

// selfBinding is peer.Self's, which stays the same for as long as the process
// lives.
var selfBinding = remember.Success(func() ([]byte, error) { return bindingOf(peer.Self()) })

func bindingOf(id *peer.Identity, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if b := id.Binding(); b != nil {
		return b, id.Close()
	}
	return nil, errors.Join(errNoBinding, id.Close())
}

// errNoBinding means that there is nothing that a handshake could bind of a process.
var errNoBinding = fmt.Errorf("%w: the boot id, which secure connections bind; they need /proc/sys/kernel/random/boot_id: mount /proc, or use package transport", peer.ErrUnavailable)
