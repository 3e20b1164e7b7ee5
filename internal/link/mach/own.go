package mach

import (
	"errors"
	"fmt"
)

// Release runs f, which gives something up, and once more if the kernel says
// that it did nothing for want of a resource. Any other failure is not
// repeated: the name may stand for another right by now.
func Release(f func() error) error {
	err := f()
	var e Errno
	if errors.As(err, &e) && e.Transient() {
		err = f()
	}
	return err
}

// Destroy gives up every right and unmaps all memory that a received message
// carries (mach_msg_destroy). The reference that a dead-name notification
// brings is not among them: see Notification. It returns the failures, having
// tried everything.
func Destroy(k Kernel, buf []byte) error {
	m, err := parseUntilTrailer(buf)
	if err != nil {
		return fmt.Errorf("destroying a message: %w", err)
	}
	errs := []error{destroyRight(k, m.Remote, m.RemoteBits)}
	for d := range m.Descriptors() {
		errs = append(errs, destroyDescriptor(k, d))
	}
	return errors.Join(errs...)
}

func destroyDescriptor(k Kernel, d Descriptor) error {
	switch d.Type {
	case PortRight, GuardedPort:
		return destroyRight(k, d.Name, d.Disposition)
	case OutOfLine, OutOfLineVolatile:
		return freeMemory(k, d.Address, uint64(d.Size))
	case OutOfLinePorts:
		return destroyPorts(k, d)
	}
	return nil
}

// destroyPorts gives up an array of rights piece by piece, so that its size,
// which the sender chose, does not become an allocation of ours.
func destroyPorts(k Kernel, d Descriptor) error {
	var errs []error
	var piece [4 * 256]byte
	for done := uint64(0); done < uint64(d.Size); {
		n := min(uint64(d.Size)-done, uint64(len(piece)/4))
		if err := k.ReadMemory(piece[:4*n], d.Address+4*done); err != nil {
			errs = append(errs, err)
			break
		}
		for i := range n {
			errs = append(errs, destroyRight(k, Name(le.Uint32(piece[4*i:])), d.Disposition))
		}
		done += n
	}
	return errors.Join(append(errs, freeMemory(k, d.Address, 4*uint64(d.Size)))...)
}

func freeMemory(k Kernel, address, size uint64) error {
	if size == 0 || address == 0 {
		return nil
	}
	return Release(func() error { return k.FreeMemory(address, size) })
}

func destroyRight(k Kernel, name Name, d Disposition) error {
	if !name.Valid() {
		return nil
	}
	switch d {
	case MoveSend, MoveSendOnce:
		return Release(func() error { return k.Deallocate(name) })
	case MoveReceive:
		return Release(func() error { return k.ModRefs(name, RightReceive, -1) })
	}
	return nil
}

// Undo puts the task's rights and memory back to what they were before a Send
// that failed. sent is a copy of the message's header and descriptors as they
// were given to Send, after the message as Send left it.
//
// A send that fails late (queue full, interrupted) hands the message back as if
// it had been received: rights that the kernel copied or made are new
// references, and out-of-line memory is mapped a second time. Those are given
// up here. Rights that were to be moved stay with the caller, as after an early
// failure; a send-once right may come back under another name, which Undo
// returns for the descriptor or header it stood in (first one found), else Null.
func Undo(k Kernel, sent, after []byte) (moved Name, err error) {
	was, err := ParseHeader(sent)
	if err != nil {
		return Null, err
	}
	m, err := parseUntilTrailer(after)
	if err != nil {
		return Null, fmt.Errorf("undoing a send: %w", err)
	}
	var errs []error
	undo := func(before Disposition, oldName, name Name, now Disposition) {
		switch {
		case before == now && before == MoveSendOnce && name != oldName:
			moved = name
		case before != now:
			errs = append(errs, destroyRight(k, name, now))
		}
	}
	undo(was.RemoteBits, was.Remote, m.Remote, m.RemoteBits)
	undo(was.LocalBits, was.Local, m.Local, m.LocalBits)

	old := Message{Header: was, Count: m.Count}
	if m.Count > 0 {
		old.descriptors = sent[HeaderSize+BodySize:]
	}
	rest := old.descriptors
	for d := range m.Descriptors() {
		var o Descriptor
		if o, rest, err = parseDescriptor(rest); err != nil {
			return moved, errors.Join(append(errs, err)...)
		}
		switch {
		case d.Type == PortRight:
			undo(o.Disposition, o.Name, d.Name, d.Disposition)
		case d.Type == OutOfLine: // 0 unless the kernel mapped it anew: see Send
			errs = append(errs, freeMemory(k, d.Address, uint64(d.Size)))
		}
	}
	return moved, errors.Join(errs...)
}
