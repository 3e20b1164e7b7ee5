package conn

import (
	"context"
	"errors"
	"sync"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
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
type localIncoming struct {
	hello    []byte
	security Security // the client's
	answer   chan localAnswer
	ofHost   Proof
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
	in := &localIncoming{hello: hello, security: c.Security, answer: make(chan localAnswer, 1)}
	if ok, err := l.enterLocal(); !ok || err != nil {
		return nil, err
	}
	go l.setUp(in)
	select {
	case a := <-in.answer:
		if a.err != nil {
			return nil, a.err
		}
		return &localOutgoing{answer: a}, nil
	case <-ctx.Done():
	}
	// The listener may have answered meanwhile, or will: its link is not used.
	go func() {
		if a := <-in.answer; a.link != nil {
			a.link.Interrupt()
			_ = a.link.Close()
		}
	}()
	return nil, ctx.Err()
}

// enterLocal counts a client within the process. It returns false if the listener
// takes no more clients, ErrBusy if it has too many.
func (l *Listener) enterLocal() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.shut || l.ctx.Err() != nil:
		return false, nil
	case l.open >= l.c.mostClients():
		return false, ErrBusy
	}
	l.open++
	l.wg.Add(1)
	return true, nil
}

// check is what a handshake is for clients of other processes: it returns what the
// client has shown. On error it ends in.
func (in *localIncoming) check(ctx context.Context, l *Listener) (ofClient Proof, err error) {
	in.ofHost, ofClient, err = in.security.Local(ctx, l.endpoint, l.c.Security)
	if err != nil {
		in.answer <- localAnswer{err: err}
	}
	return ofClient, err
}

// Hello implements rendezvous.Incoming.
func (in *localIncoming) Hello(context.Context) ([]byte, error) { return in.hello, nil }

// Credentials implements rendezvous.Incoming.
func (in *localIncoming) Credentials() *cred.Credentials { return nil }

// Accept implements rendezvous.Incoming.
func (in *localIncoming) Accept(_ context.Context, hello []byte) (link.Link, error) {
	host, client := mem.Pair()
	in.answer <- localAnswer{hello: hello, accepted: true, link: client, ofHost: in.ofHost}
	return host, nil
}

// Refuse implements rendezvous.Incoming.
func (in *localIncoming) Refuse(_ context.Context, hello []byte) error {
	in.answer <- localAnswer{hello: hello}
	return nil
}

// Close implements rendezvous.Incoming.
func (in *localIncoming) Close() error {
	in.answer <- localAnswer{err: link.ErrPeerGone}
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
		return nil, errors.New("refused")
	}
	return l, nil
}

// Close implements rendezvous.Outgoing.
func (out *localOutgoing) Close() error {
	l := out.answer.link
	out.answer.link = nil
	if l == nil {
		return nil
	}
	l.Interrupt()
	return l.Close()
}
