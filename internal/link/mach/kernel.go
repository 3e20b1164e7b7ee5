package mach

// Name is a mach_port_name_t: a task's own handle for a right, in the manner of
// a file descriptor. The kernel reuses names as soon as they are free.
type Name uint32

const (
	// Null is MACH_PORT_NULL, no port.
	Null Name = 0
	// DeadPort is MACH_PORT_DEAD: a right in a message whose port died on the way.
	DeadPort Name = 0xffffffff
)

// Valid reports whether the name can stand for a right (MACH_PORT_VALID).
func (n Name) Valid() bool { return n != Null && n != DeadPort }

// Right is a mach_port_right_t: what ModRefs counts.
type Right uint32

const (
	RightSend     Right = 0
	RightReceive  Right = 1
	RightSendOnce Right = 2
	RightPortSet  Right = 3
	RightDeadName Right = 4
)

// Disposition is a mach_msg_type_name_t: what a message does with a right. A
// received message says MoveReceive, MoveSend or MoveSendOnce for the kind of
// right that has arrived.
type Disposition uint8

const (
	MoveReceive  Disposition = 16
	MoveSend     Disposition = 17
	MoveSendOnce Disposition = 18
	CopySend     Disposition = 19
	MakeSend     Disposition = 20
	MakeSendOnce Disposition = 21
)

// Options of Send and Receive (mach/message.h). MACH_SEND_MSG and MACH_RCV_MSG
// are implied.
type Options uint32

const (
	// RcvLarge leaves a message that is larger than the buffer in the queue and
	// writes its size into the buffer's header; without it the message is
	// destroyed and a bare header with trailer is received in its place.
	RcvLarge Options = 0x4
	// SendTimeout and RcvTimeout make the timeout argument count.
	SendTimeout Options = 0x10
	RcvTimeout  Options = 0x100
	// SendInterrupt and RcvInterrupt return at a signal. Without them libSystem
	// repeats the call with the full timeout.
	SendInterrupt Options = 0x40
	RcvInterrupt  Options = 0x400
	// SendNotify arms the send-possible request on the destination when the
	// queue is found full.
	SendNotify Options = 0x80
	// RcvAuditTrailer asks for a format 0 trailer up to the audit token:
	// MACH_RCV_TRAILER_TYPE(0) | MACH_RCV_TRAILER_ELEMENTS(MACH_RCV_TRAILER_AUDIT).
	RcvAuditTrailer Options = 3 << 24
)

// Queue limits of a port, in messages (mach/port.h).
const (
	QueueLimitDefault = 5
	QueueLimitMax     = 1024
)

// PortStatus is the part of mach_port_status_t that is of use.
type PortStatus struct {
	QueueLimit uint32 // in messages
	Queued     uint32 // messages in the queue now
	MakeSend   uint32 // make-send count
	SendOnce   uint32 // send-once rights that exist
	HasSenders bool   // send rights exist
}

// Kernel is what a task can ask of the kernel, for itself. The Darwin
// implementation is Open's; machtest has another that runs anywhere.
//
// Calls may be made concurrently. All but Send and Receive return at once. Every
// error is an Errno, possibly wrapped. A call that failed had no effect, except
// as said at Send and Receive. Values of an implementation are comparable, and
// equal for the same task.
type Kernel interface {
	// AllocatePort makes a port and returns the name of its receive right, to
	// be given back with ModRefs(name, RightReceive, -1).
	AllocatePort() (Name, error)

	// AllocateSet makes a port set, to be given back with
	// ModRefs(name, RightPortSet, -1), which leaves its members alive.
	AllocateSet() (Name, error)

	// InsertRight adds a right made of the right called right, under name.
	InsertRight(name, right Name, d Disposition) error

	// Deallocate gives up one user reference of a send, send-once or dead name.
	Deallocate(name Name) error

	// ModRefs changes the number of user references of one kind of right.
	ModRefs(name Name, right Right, delta int32) error

	// MoveMember puts the receive right into the port set and out of any other;
	// set Null only takes it out. Until XNU 8019 (macOS 12.2), a set serves the
	// member that has had messages longest until it has none, and a port that is put
	// into the set again is served last; later kernels serve members in turn.
	MoveMember(member, set Name) error

	// SetQueueLimit sets the number of messages that the port's queue holds
	// before senders wait, at most QueueLimitMax.
	SetQueueLimit(port Name, limit uint32) error

	// Status describes a port whose receive right this task holds.
	Status(port Name) (PortStatus, error)

	// RequestNotification asks for notification id on name, to be sent to a
	// send-once right made from the receive right notify (Null: cancel). sync
	// is explained in mach_port_request_notification(2): the make-send count
	// for NotifyNoSenders, "at once if it is so already" for the others. The
	// send-once right that was registered before is returned and must be given
	// up. A name has one slot, shared by NotifyDeadName and
	// NotifySendPossible; the latter also tells of death. When the call fails the
	// kernel destroys the right that it had made, so NotifySendOnce comes to notify.
	RequestNotification(name Name, id int32, sync uint32, notify Name) (previous Name, err error)

	// Send sends the message in msg, of the size its header says. If ool is not
	// empty the message's first descriptor must be OutOfLine with Address 0; the
	// kernel takes a virtual copy of ool. timeout is in milliseconds.
	//
	// When it fails, the kernel may have rewritten msg ("pseudo receive"): call
	// Undo with a copy of the message as it was. The descriptor's address is
	// then that of memory which the kernel mapped for the message handed back,
	// or 0.
	Send(msg, ool []byte, options Options, timeout uint32) error

	// Receive waits for a message on a receive right or a port set and writes
	// it with its trailer into buf. The caller owns what the message carries:
	// see Destroy. timeout is in milliseconds.
	//
	// After RcvTooLarge without RcvLarge, RcvHeaderError and RcvBodyError buf
	// holds what is left of a message, to be destroyed. After the first two that is
	// a bare header, of size HeaderSize even if its bits say that descriptors follow
	// or that a reply right has arrived (its Remote is Null or DeadPort). Its trailer
	// is the kernel's, with the all-zero token, and its id the sender's: it is not
	// to be taken for a notification.
	Receive(buf []byte, from Name, options Options, timeout uint32) error

	// ReadMemory copies out-of-line memory at address to dst by asking the
	// kernel, so that memory that can't be had is an error and not a fault: its
	// sender may have lent pages of a file and truncated it since.
	ReadMemory(dst []byte, address uint64) error

	// FreeMemory unmaps out-of-line memory that a message brought.
	FreeMemory(address, size uint64) error

	// CheckIn takes the receive right of a bootstrap service (an Errno 1100,
	// 1101 or 1103 where it can't be had), LookUp a send right to one (1102 if
	// no process offers it). They block while launchd answers.
	CheckIn(service string) (Name, error)
	LookUp(service string) (Name, error)

	// Token is this task's own audit token (TASK_AUDIT_TOKEN).
	Token() (AuditToken, error)
}

// MaxServiceName is the longest name of a bootstrap service in bytes
// (BOOTSTRAP_MAX_NAME_LEN less the NUL).
const MaxServiceName = 127
