package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link/mach"
)

func noSenders(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	// Make-send count 1: not before there was a sender.
	if _, err := k.RequestNotification(p, mach.NotifyNoSenders, 1, p); err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	if err := k.InsertRight(p, p, mach.MakeSend); err != nil {
		return "", fmt.Errorf("inserting a send right: %w", err)
	}
	if _, _, err := receive(k, p); !errors.Is(err, mach.RcvTimedOut) {
		return "", fmt.Errorf("something arrived too early: %v", err)
	}
	if err := k.Deallocate(p); err != nil {
		return "", fmt.Errorf("giving up the send right: %w", err)
	}
	n, err := notification(k, p, mach.NotifyNoSenders)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("after the last of %d send rights, by the kernel", n.Count), nil
}

// deadName destroys a receive right and leaves a send right behind.
func deadName(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	notify, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, notify)
	p, err := port(k)
	if err != nil {
		return "", err
	}
	if err := k.InsertRight(p, p, mach.MakeSend); err != nil {
		return "", fmt.Errorf("inserting a send right: %w", err)
	}
	// A send-possible request tells of death as well.
	if _, err := k.RequestNotification(p, mach.NotifySendPossible, 0, notify); err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	if err := k.ModRefs(p, mach.RightReceive, -1); err != nil {
		return "", fmt.Errorf("destroying the port: %w", err)
	}
	n, err := notification(k, notify, mach.NotifyDeadName)
	if err != nil {
		return "", err
	}
	if n.Name != p {
		return "", fmt.Errorf("about %#x, not %#x", uint32(n.Name), uint32(p))
	}
	if err := send(k, mach.Header{Remote: p, RemoteBits: mach.CopySend}, nil, nil, nil); !errors.Is(err, mach.SendInvalidDest) {
		return "", fmt.Errorf("sending to the dead: %v", err)
	}
	// One reference was ours, one came with the notification.
	for i := range 2 {
		if err := k.Deallocate(p); err != nil {
			return "", fmt.Errorf("reference %d of the dead name: %w", i+1, err)
		}
	}
	if err := k.Deallocate(p); err == nil {
		return "", errors.New("the dead name had a third reference")
	}
	return "reported, with a reference of its own", nil
}

func portSet(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	set, err := k.AllocateSet()
	if err != nil {
		return "", fmt.Errorf("allocating: %w", err)
	}
	defer func() { err = errors.Join(err, k.ModRefs(set, mach.RightPortSet, -1)) }()
	var members [3]mach.Name
	for i := range members {
		if members[i], err = port(k); err != nil {
			return "", err
		}
		defer destroy(k, &err, members[i])
		if err := k.MoveMember(members[i], set); err != nil {
			return "", fmt.Errorf("adding a member: %w", err)
		}
		if err := send(k, mach.Header{Remote: members[i], RemoteBits: mach.MakeSend, ID: int32(i)}, nil, nil, nil); err != nil {
			return "", fmt.Errorf("sending: %w", err)
		}
	}
	if err := k.MoveMember(members[2], mach.Null); err != nil {
		return "", fmt.Errorf("taking a member out: %w", err)
	}
	for range 2 {
		m, _, err := receive(k, set)
		if err != nil {
			return "", err
		}
		if m.ID > 1 || m.Local != members[m.ID] {
			return "", fmt.Errorf("message %d arrived on %#x", m.ID, uint32(m.Local))
		}
	}
	if _, _, err := receive(k, set); !errors.Is(err, mach.RcvTimedOut) {
		return "", fmt.Errorf("the port that was taken out: %v", err)
	}
	if m, _, err := receive(k, members[2]); err != nil || m.ID != 2 {
		return "", errors.Join(err, fmt.Errorf("message %d arrived", m.ID))
	}
	return "each message says on which member it arrived", nil
}

// portSetTurns shows that a port which always has messages does not keep those of another
// from being received, if it is put into the set again after some.
func portSetTurns(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	set, err := k.AllocateSet()
	if err != nil {
		return "", fmt.Errorf("allocating: %w", err)
	}
	defer func() { err = errors.Join(err, k.ModRefs(set, mach.RightPortSet, -1)) }()
	var members [2]mach.Name
	for i := range members {
		if members[i], err = port(k); err != nil {
			return "", err
		}
		defer destroy(k, &err, members[i])
		if err := k.MoveMember(members[i], set); err != nil {
			return "", fmt.Errorf("adding to the set: %w", err)
		}
		if err := send(k, mach.Header{Remote: members[i], RemoteBits: mach.MakeSend, ID: int32(i)}, nil, nil, nil); err != nil {
			return "", err
		}
	}
	const turn = 32
	for n := range 2 * turn {
		// Before its last one is received.
		if err := send(k, mach.Header{Remote: members[0], RemoteBits: mach.MakeSend}, nil, nil, nil); err != nil {
			return "", err
		}
		m, _, err := receive(k, set)
		if err != nil {
			return "", err
		}
		if m.ID == 1 {
			return fmt.Sprintf("the other's came after %d", n), nil
		}
		if n%turn == turn-1 {
			if err := k.MoveMember(members[0], set); err != nil {
				return "", fmt.Errorf("putting it into the set again: %w", err)
			}
		}
	}
	return "", fmt.Errorf("the other's did not come in %d messages", 2*turn)
}

func queueFull(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	notify, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, notify)
	if err := k.InsertRight(p, p, mach.MakeSend); err != nil {
		return "", fmt.Errorf("inserting a send right: %w", err)
	}
	defer func() { err = errors.Join(err, k.Deallocate(p)) }()
	if err := k.SetQueueLimit(p, mach.QueueLimitMax); err != nil {
		return "", fmt.Errorf("raising the limit: %w", err)
	}
	if _, err := k.RequestNotification(p, mach.NotifySendPossible, 0, notify); err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	n := 0
	for ; err == nil && n <= mach.QueueLimitMax; n++ {
		err = send(k, mach.Header{Remote: p, RemoteBits: mach.CopySend, ID: int32(n)}, nil, nil, nil)
	}
	if n--; n != mach.QueueLimitMax || !errors.Is(err, mach.SendTimedOut) {
		return "", fmt.Errorf("after %d messages: %v", n, err)
	}
	if _, _, err := receive(k, notify); !errors.Is(err, mach.RcvTimedOut) {
		return "", fmt.Errorf("something arrived too early: %v", err)
	}
	for i := range n {
		m, _, err := receive(k, p)
		if err != nil || int(m.ID) != i {
			return "", errors.Join(err, fmt.Errorf("message %d arrived as number %d", m.ID, i))
		}
		if i > 0 {
			continue
		}
		got, err := notification(k, notify, mach.NotifySendPossible)
		if err != nil || got.Name != p {
			return "", errors.Join(err, fmt.Errorf("about %#x, not %#x", uint32(got.Name), uint32(p)))
		}
	}
	return fmt.Sprintf("full at %d, told when one was taken", n), nil
}

// failedSend offers rights to a full queue and gives back what comes back.
func failedSend(_ context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	p, err := port(k)
	if err != nil {
		return "", err
	}
	defer destroy(k, &err, p)
	if err := k.InsertRight(p, p, mach.MakeSend); err != nil {
		return "", fmt.Errorf("inserting a send right: %w", err)
	}
	if err := k.SetQueueLimit(p, 1); err != nil {
		return "", err
	}
	h := mach.Header{Remote: p, RemoteBits: mach.CopySend}
	if err := send(k, h, nil, nil, nil); err != nil {
		return "", fmt.Errorf("filling the queue: %w", err)
	}
	d := []mach.Descriptor{{Type: mach.OutOfLine, Copy: mach.VirtualCopy, Size: 1 << 16}, {Type: mach.PortRight, Name: p, Disposition: mach.CopySend}}
	if err := send(k, h, d, nil, make([]byte, 1<<16)); !errors.Is(err, mach.SendTimedOut) {
		return "", fmt.Errorf("sending to a full queue: %v", err)
	}
	// The one reference that we had must be the last.
	if err := k.Deallocate(p); err != nil {
		return "", fmt.Errorf("giving up our reference: %w", err)
	}
	if _, _, err := receive(k, p); err != nil {
		return "", err
	}
	s, err := k.Status(p)
	if err != nil || s.HasSenders {
		return "", errors.Join(err, errors.New("a send right was left over"))
	}
	return "nothing was left over", nil
}
