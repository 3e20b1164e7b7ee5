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
// A client's messages arrive in order, complete and once. A Send that returned nil is
// not lost if the sender's process then dies, even by kill -9 (in attested mode: once
// the message is no longer coalesced; see [Conn.Flush]). Everything sent before a
// Close arrives before the receiver gets [io.EOF]; if the peer died instead, the
// receiver gets [ErrPeerGone]. When a host dies, its clients report how many messages
// it may not have handled, as [ErrDisconnected].
//
// A Send that returned nil does not mean that the receiver's handler has run. If the
// sender must know, let the handler answer with [Message.Reply].
//
// # Peers
//
// Each side checks the other's kernel-verified identity against [Config.Peer] before
// anything else. The default is the same user, or root. See package peer.
//
// # Systems
//
// On Linux messages pass through a pair of rings in shared memory, or, with
// [Config.Attested], through a Unix socket on which the kernel verifies the sender of
// each frame. On Darwin they pass through Mach ports, where the kernel always does;
// docs/MACOS.md says which parts of that were tested. On other systems constructors
// return an error for which errors.Is(err, [errors.ErrUnsupported]) holds.
package transport
