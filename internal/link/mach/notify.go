package mach

import "fmt"

// Ids of the kernel's notifications (mach/notify.h). Anyone who can send to a
// port can send these ids: only a message with the kernel's own audit token is
// a notification, which ParseNotification checks.
const (
	NotifyPortDeleted   int32 = 65
	NotifySendPossible  int32 = 66
	NotifyPortDestroyed int32 = 69
	NotifyNoSenders     int32 = 70
	NotifySendOnce      int32 = 71
	NotifyDeadName      int32 = 72
)

// IsNotificationID reports whether id lies in the range that the kernel uses.
func IsNotificationID(id int32) bool { return id >= NotifyPortDeleted && id <= NotifyDeadName }

// notifySize is header, NDR record (8 bytes) and one word.
const notifySize = HeaderSize + 8 + 4

// Notification is what the kernel tells of a right.
type Notification struct {
	ID int32
	// Name is the right that NotifyDeadName, NotifySendPossible and
	// NotifyPortDeleted are about. A dead-name notification brings one user
	// reference of it, which Destroy does not know of: the code that handles the
	// notification gives it up with Deallocate.
	Name Name
	// Count is the make-send count of NotifyNoSenders.
	Count uint32
}

// ParseNotification reads a received message as a notification. ok is false for
// any message that the kernel did not send itself, whatever its id says, and
// for those of a form that the kernel does not use.
func ParseNotification(m *Message) (n Notification, ok bool) {
	if !m.Trailer.Attested || !m.Trailer.Token.IsKernel() {
		return n, false
	}
	n.ID = m.ID
	switch m.ID {
	case NotifySendOnce:
		return n, !m.Complex && len(m.Body) == 0
	case NotifyNoSenders, NotifyDeadName, NotifySendPossible, NotifyPortDeleted:
		if m.Complex || len(m.Body) != notifySize-HeaderSize {
			return n, false
		}
		word := le.Uint32(m.Body[8:])
		if m.ID == NotifyNoSenders {
			n.Count = word
		} else {
			n.Name = Name(word)
		}
		return n, true
	}
	return n, false
}

// NotificationBody is what the kernel puts after the header of notification id:
// an NDR record and the word. Simulated kernels and forgers in tests use it.
func NotificationBody(id int32, word uint32) []byte {
	if id == NotifySendOnce {
		return nil
	}
	b := make([]byte, notifySize-HeaderSize)
	b[4] = 1 // NDR record: little-endian integers, ASCII, IEEE floats
	le.PutUint32(b[8:], word)
	return b
}

// String names the notification.
func (n Notification) String() string {
	name, ok := map[int32]string{
		NotifyPortDeleted: "port deleted", NotifySendPossible: "send possible",
		NotifyPortDestroyed: "port destroyed", NotifyNoSenders: "no senders",
		NotifySendOnce: "send once", NotifyDeadName: "dead name",
	}[n.ID]
	if !ok {
		return fmt.Sprintf("notification %d", n.ID)
	}
	return name
}
