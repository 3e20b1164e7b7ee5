package peer

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/peer/internal/codesign"
)

// tokenProcess is a process that is known by its audit token, as on Darwin.
// Every question to the kernel carries the token, whose pidversion changes with
// fork and exec: the answer is about that very program or there is none.
type tokenProcess struct {
	unknown
	words [8]uint32
	src   codesign.Source // nil where nothing can ask the kernel
}

func identifyToken(words [8]uint32, src codesign.Source) (*Identity, error) {
	if words == [8]uint32{} {
		return nil, ErrNoIdentity
	}
	t := TokenFromWords(words)
	return &Identity{
		token: t,
		ids: ids{
			ruid: t.RUID(), euid: t.EUID(), rgid: t.RGID(), egid: t.EGID(), pid: t.PID(),
		},
		binding: append([]byte("darwin-audit/1"), t.Bytes()...),
		proc:    tokenProcess{words: words, src: src},
	}, nil
}

func (p tokenProcess) alive() error {
	if p.src == nil {
		return errBlind
	}
	var flags [4]byte
	err := p.src.Csops(codesign.OpStatus, p.words, flags[:])
	if errors.Is(err, codesign.ErrNoProcess) {
		return ErrGone
	}
	// Any other answer is about a process that exists.
	return nil
}

func (tokenProcess) close() error { return nil }

func (p tokenProcess) code() (codesign.Code, error) {
	if p.src == nil {
		return codesign.Code{}, unavailable("code signature")
	}
	c, err := codesign.Read(p.src, p.words)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, codesign.ErrNoProcess):
		return codesign.Code{}, ErrGone
	}
	return codesign.Code{}, fmt.Errorf("%w: code signature: %w", ErrUnavailable, err)
}

func (p tokenProcess) requirement(ctx context.Context, requirement string) error {
	if p.src == nil {
		return unavailable("code requirement")
	}
	err := p.src.CheckRequirement(ctx, p.words, requirement)
	switch {
	case err == nil, errors.Is(err, codesign.ErrUnsatisfied), ctx.Err() != nil:
		return err
	case errors.Is(err, codesign.ErrNoProcess):
		return ErrGone
	}
	return fmt.Errorf("%w: code requirement: %w", ErrUnavailable, err)
}
