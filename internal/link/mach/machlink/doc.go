// Package machlink is the link of Darwin: frames as Mach messages. It is
// portable Go above mach.Kernel, so it runs on machtest too.
//
// # Connection
//
// Each side of a connection has two ports of its own: data, for the peer's
// frames, and control, for the peer's count of the frames it has drained, its request to
// end, and the kernel's notifications. Each side holds send rights to the peer's two ports
// and one send-once right to the peer's data port, for its end. The client
// passes its three rights in a connect message to the service's port; the host
// answers on the client's data port, with three rights of its own or with a
// refusal. Rights travel in descriptors; no message has a reply port.
//
//   - A frame is one message without descriptors, its payload inline.
//   - The end (CloseWrite, Close) travels on the send-once right: the kernel
//     queues it behind the frames, whatever the queue limit says. If its holder
//     dies, the kernel reports the unused right on the data port, behind the
//     frames as well. So end of file and death come in order and never block.
//   - Death of the peer's ports is a dead-name notification, on control.
//   - A full queue is waited for by a send-possible notification, on control.
//   - A request to end (GoAway) is a message to control, which passes the frames.
//   - Nothing else is a message of this protocol. Any other message is destroyed,
//     and the connection fails.
//
// # Trust
//
// The kernel writes its audit token into each message. The token of the hello
// is the peer; each later message must come from the same pid and pidversion
// with the same user and group ids, and a notification from the kernel itself.
//
// # Why frames are inline
//
// Out-of-line memory saves a copy only if the sender gives up its pages. Here
// sender buffers are reused, so each page would be write-protected, faulted and
// copied after all; and a receiver that touches memory which a stranger has lent
// can be made to fault, or to wait for that stranger's file system. So messages
// are cut into frames of at most MaxFrame, whose copies stay in cache, and the
// protocol has no out-of-line memory at all.
//
// # Bounds
//
// Per connection and direction: the kernel holds at most 1024 messages, this
// process at most inboxFrames frames or inboxBytes bytes; a connection whose
// inbox is full is taken out of the port set, so that the rest stays in the
// kernel's queue and stops the sender.
//
// One goroutine per process and kernel receives for all connections and
// listeners: the loop. It is started with the first and joined with the last.
package machlink
