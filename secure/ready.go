package secure

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/secure/internal/record"
)

// In XX the client sends the last message of the handshake, and only then does the
// host learn the client's key and authorize it. The host's first record confirms
// that it has accepted the key (docs/PROTOCOL.md, "First handshake"), so that a
// refused client learns of the refusal in its constructor. In the other patterns
// the host's message confirms that already.

var errNotReady = errors.New("the host's first record is not ready")

// confirm sends the confirmation, or waits for it until ctx ends. It is called
// before anything else uses the link. An error is final.
func (l *sealed) confirm(ctx context.Context) error {
	if l.p.pattern != handshake.XX {
		return nil
	}
	if l.p.role == handshake.Responder {
		if err := l.wmu.Lock(ctx); err != nil {
			return err
		}
		defer l.wmu.Unlock()
		return l.writeLocked(ctx, record.Ready, nil, nil)
	}
	if err := l.rmu.Lock(ctx); err != nil {
		return err
	}
	defer l.rmu.Unlock()
	frame, err := l.p.readFrame(ctx, l.lower)
	if err != nil {
		return l.reason(err)
	}
	t, _, err := l.open.Open(nil, frame)
	if err == nil && t != record.Ready {
		err = errNotReady
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}
