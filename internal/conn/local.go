package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/wire"
)

// locals are the listeners of this process that its own clients reach in memory:
// *Listener by localKey.
var locals sync.Map

// localKey names an endpoint within the process.
type localKey struct {
	carrier       rendezvous.Carrier
	dir, endpoint string
}

func (c *Config) localKey(endpoint string) localKey {
	return localKey{c.Carrier, c.Options.Dir, endpoint}
}

// localIncoming is a client within the process. It implements rendezvous.Incoming.
// The listener answers it once, unless it has left.
type localIncoming struct {
	ctx      context.Context // of its Dial
	hello    []byte
	security Security // the client's
	ofHost   Proof

	mu     sync.Mutex
	left   bool             // the client waits no longer
	answer chan localAnswer // capacity 1
}

// localAnswer is what a listener answers it.
type localAnswer struct {
	hello    []byte
	accepted bool
	link     link.Link
	ofHost   Proof
	err      error // why there is no hello
}

// dialLocal is Carrier.Dial for a host in this process. It returns nil if there is
// none.
func dialLocal(ctx context.Context, endpoint string, hello []byte, c *Config) (rendezvous.Outgoing, error) {
	found, _ := locals.Load(c.localKey(endpoint))
	l, _ := found.(*Listener)
	if l == nil {
		return nil, nil
	}
	in := &localIncoming{ctx: ctx, hello: hello, security: c.Security, answer: make(chan localAnswer, 1)}
	if _, err := l.begin(in); err != nil { // there may be another one, or its successor
		return nil, nil
	}
	var a localAnswer
	select {
	case a = <-in.answer:
	case <-ctx.Done():
		in.leave()
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	return &localOutgoing{answer: a}, nil
}

// leave is called when the client waits no longer. An answer that has come meanwhile
// is not used.
func (in *localIncoming) leave() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.left = true
	select {
	case a := <-in.answer:
		_ = a.discard()
	default:
	}
}

// deliver answers the client. It returns link.ErrPeerGone if the client has left, and
// discards the answer.
func (in *localIncoming) deliver(a localAnswer) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.left {
		return errors.Join(fmt.Errorf("connection set-up: %w", link.ErrPeerGone), a.discard())
	}
	in.answer <- a
	return nil
}

// discard closes the link that comes with an answer.
func (a *localAnswer) discard() error {
	l := a.link
	a.link = nil
	if l == nil {
		return nil
	}
	l.Interrupt()
	return l.Close()
}

// fail answers with an error in place of a hello. It ends in.
func (in *localIncoming) fail(err error) { _ = in.deliver(localAnswer{err: err}) }

// check is what a handshake is for clients of other processes: it returns what the
// client has shown. On error it ends in.
func (in *localIncoming) check(ctx context.Context, l *Listener) (ofClient Proof, err error) {
	// The client's Trust gets the context that the client was given.
	both, cancel := context.WithCancel(in.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	in.ofHost, ofClient, err = in.security.Local(both, l.endpoint, l.c.Security)
	if err == nil {
		return ofClient, nil
	}
	why := err
	if ctx.Err() != nil { // the host ends, or took too long: it has not refused
		why = link.ErrPeerGone
	}
	return ofClient, errors.Join(err, in.deliver(localAnswer{err: why}))
}

// Hello implements rendezvous.Incoming.
func (in *localIncoming) Hello(context.Context) ([]byte, error) { return in.hello, nil }

// From implements rendezvous.Incoming.
func (in *localIncoming) From() fair.Process {
	return fair.Process{UID: uint32(os.Geteuid()), PID: uint32(os.Getpid())}
}

// Credentials implements rendezvous.Incoming.
func (in *localIncoming) Credentials() *cred.Credentials { return nil }

// Accept implements rendezvous.Incoming.
func (in *localIncoming) Accept(_ context.Context, hello []byte) (link.Link, error) {
	host, client := mem.Pair()
	if err := in.deliver(localAnswer{hello: hello, accepted: true, link: client, ofHost: in.ofHost}); err != nil {
		host.Interrupt()
		return nil, errors.Join(err, host.Close())
	}
	return host, nil
}

// Refuse implements rendezvous.Incoming.
func (in *localIncoming) Refuse(_ context.Context, hello []byte) error {
	return in.deliver(localAnswer{hello: hello})
}

// Close implements rendezvous.Incoming.
func (in *localIncoming) Close() error {
	in.fail(link.ErrPeerGone)
	return nil
}

// localOutgoing implements rendezvous.Outgoing.
type localOutgoing struct{ answer localAnswer }

// Hello implements rendezvous.Outgoing.
func (out *localOutgoing) Hello() []byte { return out.answer.hello }

// Accepted implements rendezvous.Outgoing.
func (out *localOutgoing) Accepted() bool { return out.answer.accepted }

// Credentials implements rendezvous.Outgoing.
func (out *localOutgoing) Credentials() *cred.Credentials { return nil }

// Link implements rendezvous.Outgoing.
func (out *localOutgoing) Link() (link.Link, error) {
	l := out.answer.link
	out.answer.link = nil
	if l == nil {
		return nil, fmt.Errorf("%w: refused", wire.ErrSetup)
	}
	return l, nil
}

// Close implements rendezvous.Outgoing.
func (out *localOutgoing) Close() error { return out.answer.discard() }
