// Package transport is plain local messaging: a [Host] owns an endpoint, and each
// [Client] sends it typed messages. It does not encrypt: a process that may read the
// memory of either side can read the messages. Package secure has the same Host and
// Client with encryption.
//
//	host, err := transport.NewHost("com.example.greeter", func(ctx context.Context, m transport.Message[string]) {
//		fmt.Println(m.Session.Peer(), m.Body)
//	}, nil)
//	client, err := transport.NewClient[string](ctx, "com.example.greeter", nil)
//	err = client.Send(ctx, "hello")
//
// # Guarantees
//
// A client's messages arrive in order, complete and once. A message whose Send returned
// nil arrives even if the sender's process then dies, also by kill -9. What was sent
// before a Close arrives before the receiver gets [io.EOF]; if the peer died instead,
// the receiver gets [ErrPeerGone]. A host that ends by [Host.Shutdown] has handled
// everything. When a host ends in another way, its clients report how many messages it may
// not have handled, as a [*DisconnectedError]. A [Client] goes on with the next host.
//
// Coalesced messages are the exception. They exist on attested and secure connections
// and over Mach ports, while the receiver is backlogged; see [Conn.Flush]. They are lost
// if the sender's process dies, if Close cannot send them within 5 seconds, and with
// [Host.Close], which does not wait for clients.
//
// A Send that returned nil does not mean that the receiver's handler has run. If the
// sender must know, let the handler answer with [Message.Reply].
//
// # Peers
//
// Each side checks the other's kernel-verified identity against [Config.Peer] before
// anything else. The default is the same user, or root. See package peer.
//
// # Concurrency and blocking
//
// All functions and methods may be called concurrently unless they say otherwise.
// Those that only return a value do not block. The context of a constructor covers
// connecting only. A constructor that returns an error leaves nothing open and serves
// nothing. A slice that is passed to a call is not kept after it has returned. A returned
// slice belongs to the caller, except for received messages, for which the documentation
// says how long they are valid.
//
// # Systems
//
// On Linux messages pass through a pair of rings in shared memory, or, with
// [Config.Attested], through a Unix socket on which the kernel verifies the sender of
// each frame. On Darwin they pass through Mach ports, where the kernel always does;
// docs/MACOS.md says which parts of that were tested. On other systems constructors
// return an error for which errors.Is(err, [errors.ErrUnsupported]) holds.
package transport
