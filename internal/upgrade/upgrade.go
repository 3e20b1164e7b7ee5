// Package upgrade is the seam between packages transport and secure: how the one
// has a link wrapped by the other without importing it.
package upgrade

import (
	"context"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/keys"
)

// Side is what a handshake binds, and whom it is with.
type Side struct {
	Endpoint   string
	Self, Peer []byte // peer.Identity.Binding of the two processes
	PeerUID    uint32 // as judged by the peer policy
}

// Result is what a handshake has shown.
type Result struct {
	Key  keys.PublicKey // the peer's static key; zero for an anonymous client
	Hash []byte         // the handshake hash: channel binding
}

// Upgrader makes secure links. Its methods may be called concurrently.
type Upgrader interface {
	// Enter waits for one of the places for half-open handshakes, before
	// anything is spent on one, until ctx ends. leave gives it back.
	Enter(ctx context.Context, uid uint32) (leave func(), err error)

	// Host and Client do the handshake over l and return the link that takes
	// its place. They take l over and close it on error.
	Host(ctx context.Context, l link.Link, s Side) (link.Link, Result, error)
	Client(ctx context.Context, l link.Link, s Side) (link.Link, Result, error)

	// Local is asked by a client within the process of host: it checks both
	// keys, and returns what each side has shown to the other.
	Local(ctx context.Context, endpoint string, host Upgrader) (ofHost, ofClient Result, err error)
}

// Attach puts an Upgrader into a *transport.Config, which is the type of config.
// Package transport sets it.
var Attach func(config any, u Upgrader)

// Wrap does the handshake over a *transport.Conn, which it takes over, and
// returns another. Package transport sets it.
var Wrap func(ctx context.Context, conn any, u Upgrader, host bool) (any, error)
