package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link/mach"
)

var steps = []step{
	{"allocate", allocate},
	{"own token", ownToken},
	{"message to myself", toMyself},
	{"send-once right", sendOnce},
	{"receive right in a message", moveReceive},
	{"out-of-line memory", outOfLine},
	{"large message", large},
	{"no-senders", noSenders},
	{"dead name", deadName},
	{"port set", portSet},
	{"port set with a member that is never empty", portSetTurns},
	{"queue full, send possible", queueFull},
	{"failed send gives rights back", failedSend},
	{"service name", serviceName},
	{"two processes", twoProcesses},
	{"death of a process", deathOfProcess},
}

// now is the timeout of calls that find what they wait for, or fail.
const now = 0

// port makes a port; the caller destroys it with destroy.
func port(k mach.Kernel) (mach.Name, error) {
	p, err := k.AllocatePort()
	if err != nil {
		return p, fmt.Errorf("allocating a port: %w", err)
	}
	return p, nil
}

func destroy(k mach.Kernel, err *error, names ...mach.Name) {
	for _, name := range names {
		*err = errors.Join(*err, k.ModRefs(name, mach.RightReceive, -1))
	}
}

// send sends a message of the given header and body.
func send(k mach.Kernel, h mach.Header, d []mach.Descriptor, body, ool []byte) error {
	msg := mach.Compose(make([]byte, 0, mach.HeaderSize+256+len(body)), h, d, body)
	sent := append([]byte(nil), msg...)
	if err := k.Send(msg, ool, mach.SendTimeout|mach.SendInterrupt|mach.SendNotify, now); err != nil {
		_, undone := mach.Undo(k, sent, msg)
		return errors.Join(err, undone)
	}
	return nil
}

// receive receives what must have arrived already.
func receive(k mach.Kernel, from mach.Name) (mach.Message, []byte, error) {
	buf := make([]byte, 4096)
	if err := k.Receive(buf, from, mach.RcvAuditTrailer|mach.RcvTimeout, now); err != nil {
		return mach.Message{}, nil, fmt.Errorf("receiving: %w", err)
	}
	m, err := mach.ParseMessage(buf)
	return m, buf, err
}

// notification receives a notification of the given kind.
func notification(k mach.Kernel, from mach.Name, id int32) (mach.Notification, error) {
	m, _, err := receive(k, from)
	if err != nil {
		return mach.Notification{}, err
	}
	n, ok := mach.ParseNotification(&m)
	if !ok || n.ID != id {
		return n, fmt.Errorf("message %d by pid %d is not the notification %d", m.ID, m.Trailer.Token.PID(), id)
	}
	return n, nil
}

func allocate(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	if err := k.InsertRight(p, p, mach.MakeSend); err != nil {
		return "", fmt.Errorf("inserting a send right: %w", err)
	}
	s, err := k.Status(p)
	if err != nil || !s.HasSenders || s.QueueLimit != mach.QueueLimitDefault {
		return "", errors.Join(err, fmt.Errorf("unexpected status %+v", s))
	}
	if err := k.Deallocate(p); err != nil {
		return "", fmt.Errorf("giving up the send right: %w", err)
	}
	if s, err = k.Status(p); err != nil || s.HasSenders {
		return "", errors.Join(err, fmt.Errorf("unexpected status %+v", s))
	}
	return fmt.Sprintf("port %#x, queue limit %d", uint32(p), s.QueueLimit), nil
}

func ownToken(_ context.Context, k mach.Kernel, _ clients) (string, error) {
	t, err := k.Token()
	if err != nil {
		return "", err
	}
	if t.IsKernel() {
		return "", errors.New("the token is the kernel's")
	}
	return fmt.Sprintf("auid %d euid %d egid %d ruid %d rgid %d pid %d asid %d pidversion %d",
		int32(t[0]), t[1], t[2], t[3], t[4], t[5], t[6], t[7]), nil
}

func toMyself(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	own, err := k.Token()
	if err != nil {
		return "", err
	}
	if err := send(k, mach.Header{Remote: p, RemoteBits: mach.MakeSend, ID: 42}, nil, []byte("hello, me"), nil); err != nil {
		return "", fmt.Errorf("sending: %w", err)
	}
	m, _, err := receive(k, p)
	if err != nil {
		return "", err
	}
	if m.ID != 42 || !bytes.HasPrefix(m.Body, []byte("hello, me")) || m.Local != p {
		return "", fmt.Errorf("another message arrived: %+v", m.Header)
	}
	if !m.Trailer.Attested || m.Trailer.Token != own {
		return "", fmt.Errorf("trailer %+v, own token %v", m.Trailer, own)
	}
	return fmt.Sprintf("%d bytes, the trailer has my token", m.Size), nil
}

func sendOnce(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	for _, use := range []bool{true, false} {
		h := mach.Header{Remote: p, RemoteBits: mach.MakeSend, Local: p, LocalBits: mach.MakeSendOnce}
		if err := send(k, h, nil, nil, nil); err != nil {
			return "", fmt.Errorf("sending a send-once right: %w", err)
		}
		m, _, err := receive(k, p)
		if err != nil {
			return "", err
		}
		if m.RemoteBits != mach.MoveSendOnce {
			return "", fmt.Errorf("a right of kind %d arrived", m.RemoteBits)
		}
		if !use {
			if err := k.Deallocate(m.Remote); err != nil {
				return "", fmt.Errorf("giving up the right: %w", err)
			}
			if _, err := notification(k, p, mach.NotifySendOnce); err != nil {
				return "", err
			}
			continue
		}
		// It is sent through a full queue: the limit does not hold for it.
		if err := k.SetQueueLimit(p, 0); err != nil {
			return "", err
		}
		if err := send(k, mach.Header{Remote: m.Remote, RemoteBits: mach.MoveSendOnce, ID: 43}, nil, nil, nil); err != nil {
			return "", fmt.Errorf("using the right on a full queue: %w", err)
		}
		if m, _, err = receive(k, p); err != nil || m.ID != 43 {
			return "", errors.Join(err, fmt.Errorf("message %d arrived", m.ID))
		}
		if err := k.SetQueueLimit(p, mach.QueueLimitDefault); err != nil {
			return "", err
		}
	}
	return "passes a full queue; unused, the kernel says so", nil
}

func moveReceive(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	travels, err := port(k)
	if err != nil {
		return "", err
	}
	if err := send(k, mach.Header{Remote: travels, RemoteBits: mach.MakeSend, ID: 44}, nil, nil, nil); err != nil {
		return "", fmt.Errorf("sending ahead: %w", err)
	}
	d := []mach.Descriptor{{Type: mach.PortRight, Name: travels, Disposition: mach.MoveReceive}}
	if err := send(k, mach.Header{Remote: p, RemoteBits: mach.MakeSend}, d, nil, nil); err != nil {
		return "", fmt.Errorf("sending the receive right: %w", err)
	}
	m, _, err := receive(k, p)
	if err != nil {
		return "", err
	}
	for d := range m.Descriptors() {
		if d.Type != mach.PortRight || d.Disposition != mach.MoveReceive {
			return "", fmt.Errorf("descriptor %+v arrived", d)
		}
		travels = d.Name
	}
	defer destroy(k, &err, travels)
	if m, _, err = receive(k, travels); err != nil || m.ID != 44 {
		return "", errors.Join(err, fmt.Errorf("message %d arrived", m.ID))
	}
	return "with the message that waited on it", nil
}

func outOfLine(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	memory := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	d := []mach.Descriptor{{Type: mach.OutOfLine, Copy: mach.VirtualCopy, Size: uint32(len(memory))}}
	if err := send(k, mach.Header{Remote: p, RemoteBits: mach.MakeSend}, d, nil, memory); err != nil {
		return "", fmt.Errorf("sending: %w", err)
	}
	memory[0] = 'X' // after the send: the receiver must not see it
	m, buf, err := receive(k, p)
	if err != nil {
		return "", err
	}
	got := make([]byte, len(memory))
	for d := range m.Descriptors() {
		if d.Type != mach.OutOfLine || int(d.Size) != len(got) {
			return "", fmt.Errorf("descriptor %+v arrived", d)
		}
		if err := k.ReadMemory(got, d.Address); err != nil {
			return "", fmt.Errorf("reading: %w", err)
		}
	}
	if memory[0] = '0'; !bytes.Equal(got, memory) {
		return "", errors.New("the memory differs")
	}
	if err := mach.Destroy(k, buf); err != nil {
		return "", fmt.Errorf("freeing: %w", err)
	}
	return fmt.Sprintf("%d bytes, copied on write, freed", len(got)), nil
}

func large(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	h := mach.Header{Remote: p, RemoteBits: mach.MakeSend, ID: 45}
	for range 2 {
		if err := send(k, h, nil, make([]byte, 8000), nil); err != nil {
			return "", fmt.Errorf("sending: %w", err)
		}
	}
	// A third one carries rights.
	h.Local, h.LocalBits = p, mach.MakeSendOnce
	if err := send(k, h, []mach.Descriptor{{Type: mach.PortRight, Name: p, Disposition: mach.MakeSend}}, make([]byte, 8000), nil); err != nil {
		return "", fmt.Errorf("sending rights: %w", err)
	}
	buf := make([]byte, 4096)
	const options = mach.RcvAuditTrailer | mach.RcvTimeout
	if err := k.Receive(buf, p, options|mach.RcvLarge, now); !errors.Is(err, mach.RcvTooLarge) {
		return "", fmt.Errorf("a small buffer and RCV_LARGE: %v", err)
	}
	if h, err = mach.ParseHeader(buf); err != nil {
		return "", err
	}
	need := int(h.Size) + mach.MaxTrailerSize
	if err := k.Receive(make([]byte, need), p, options|mach.RcvLarge, now); err != nil {
		return "", fmt.Errorf("with a buffer of %d bytes: %w", need, err)
	}
	// Without RCV_LARGE the message is destroyed, and what is left says by whom
	// it was sent and to which port.
	if err := k.Receive(buf, p, options, now); !errors.Is(err, mach.RcvTooLarge) {
		return "", fmt.Errorf("a small buffer: %v", err)
	}
	m, err := mach.ParseMessage(buf)
	if err != nil || m.Local != p || m.ID != 45 {
		return "", errors.Join(err, fmt.Errorf("the header left is %+v", m.Header))
	}
	// The same with rights: the header says that they follow, and nothing does.
	if err := k.Receive(buf, p, options, now); !errors.Is(err, mach.RcvTooLarge) {
		return "", fmt.Errorf("a small buffer, with rights: %v", err)
	}
	if m, err = mach.ParseMessage(buf); err != nil || m.Local != p || m.Size != mach.HeaderSize || m.Count != 0 || m.Remote.Valid() {
		return "", errors.Join(err, fmt.Errorf("the header left of a message with rights is %+v", m.Header))
	}
	if err := mach.Destroy(k, buf); err != nil {
		return "", fmt.Errorf("destroying what is left: %w", err)
	}
	if _, err := notification(k, p, mach.NotifySendOnce); err != nil {
		return "", fmt.Errorf("the reply right was not destroyed: %w", err)
	}
	if err := k.Receive(buf, p, options, now); !errors.Is(err, mach.RcvTimedOut) {
		return "", fmt.Errorf("it was not destroyed: %v", err)
	}
	return fmt.Sprintf("%d bytes: kept with RCV_LARGE, destroyed without", h.Size), nil
}
