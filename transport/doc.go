// Package transport is plain local messaging: a Host owns an endpoint, Clients
// send it typed messages. It is for when speed matters and the kernel-verified
// identity of the peer is proof enough; package secure has the same Host and Client
// with keys, a handshake and encryption.
//
//	host, err := transport.NewHost("com.example.greeter", func(ctx context.Context, m transport.Message[string]) {
//		fmt.Println(m.Session.Peer(), m.Body)
//	}, nil)
//	client, err := transport.NewClient[string](ctx, "com.example.greeter", nil)
//	err = client.Send(ctx, "hello")
//
// # What is guaranteed
//
// A client's messages arrive in order, whole, once. A Send that returned nil is
// not lost because the sender's process then dies, kill -9 included, unless it was
// coalesced; see [Conn.Flush]. Everything sent before a Close arrives before the
// receiver sees [io.EOF]; a peer that vanished is [ErrPeerGone] instead. What a host
// that vanished had not dealt with is reported to its clients as [ErrDisconnected],
// never dropped in silence.
//
// What is not: that the receiver's handler has done its work. Answer with
// [Message.Reply] if the sender must know.
//
// # Who may talk
//
// Each side checks the other's kernel-verified identity by [Config.Peer] before
// anything else; the default is the same user or root. See package peer.
//
// # Where
//
// On Linux the carrier is a pair of rings in shared memory; [Config.Attested]
// chooses a Unix socket on which the kernel vouches for the sender of each frame.
// On Darwin it is Mach ports, where the kernel always does; docs/MACOS.md says what
// of that was verified. Elsewhere constructors return an error that answers
// errors.Is for [errors.ErrUnsupported].
package transport
