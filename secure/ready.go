package secure

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/secure/internal/record"
)

// In XX the client has done its part when it sends the third message, and only
// with that does the host learn the client's key and judge it. So that a client
// which the host refuses hears of it from its constructor, the host's first
// record says that it has accepted (docs/PROTOCOL.md, "First handshake"). In the
// other patterns the host's message says that already.

var errNotReady = errors.New("the host's first record does not accept")

// confirm sends the acceptance, or waits for it until ctx ends. It is called
// before anybody else uses the link. An error is final.
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
	frame, err := l.lower.ReadFrame(ctx)
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
