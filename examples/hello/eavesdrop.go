package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths in bytes of a sample, which the eavesdropper looks for. Shorter samples
// would occur by chance.
const (
	minSample = 6
	maxSample = 48
)

// sampleOf returns the printable beginning of a line; "" if that is too short.
// Other bytes, zeros above all, are in any memory.
func sampleOf(line string) string {
	end := 0
	for i, r := range line {
		if r == utf8.RuneError || !unicode.IsPrint(r) || i+utf8.RuneLen(r) > maxSample {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	if end < minSample {
		return ""
	}
	return strings.Clone(line[:end]) // the line may be large
}

const (
	controlSize = 4096 // of shared memory: counters, no messages; docs/PROTOCOL.md, "Ring"
	rowSize     = 16   // bytes in a row of the excerpt
	rows        = 3
)

// errNoSharedMemory means that there is none to look at.
var errNoSharedMemory = errors.New("no memory is shared between the two processes")

// spy shows what is in the memory that each host shares with the client after
// sample has passed. found is errGivenAway if the secure host's memory contains it.
// If spy cannot read the memory, it prints the reason and returns no error.
func spy(ctx context.Context, sample string, plain, sealed *side) (found, err error) {
	if sample == "" {
		return nil, nil
	}
	say("")
	say("What is in the shared memory while %q passes.", sample)
	for _, s := range []*side{plain, sealed} {
		seen, err := s.eavesdrop(ctx, sample)
		if errors.Is(err, errEavesdrop) {
			say(label+"%v", s.name+" host", err)
			continue
		} else if err != nil {
			return nil, err
		}
		if seen.found && s == sealed {
			found = fmt.Errorf("%w: %q", errGivenAway, sample)
		}
		say(label+"%s", s.name+" host", map[bool]string{true: "the line is there:", false: "the line is not there, but this:"}[seen.found])
		for i := range rows {
			at := seen.at + i*rowSize
			say(column+"%06x  %s", at, row(seen.memory[at:][:rowSize]))
		}
	}
	return found, nil
}

// errGivenAway means that the secure host's shared memory contained a line.
var errGivenAway = errors.New("found in the secure host's shared memory")

// errEavesdrop means that the shared memory could not be read. The lines are not
// affected.
var errEavesdrop = errors.New("cannot read the shared memory")

// sight is what an eavesdropper sees.
type sight struct {
	memory []byte // all that is shared
	found  bool   // the sample, as it was sent
	at     int    // where it is, or what has come instead; a multiple of rowSize
}

// eavesdrop sends sample and looks for it.
func (s *side) eavesdrop(ctx context.Context, sample string) (sight, error) {
	before, err := sharedMemory(s.host.pid)
	if err != nil {
		return sight{}, fmt.Errorf("%w: %w", errEavesdrop, err)
	}
	// Three times, since one of them may lie across the end of the ring.
	for range 3 {
		if err := s.client.Send(ctx, note{kind: silent, text: sample}); err != nil {
			return sight{}, err
		}
	}
	if _, err := s.ask(ctx); err != nil {
		return sight{}, err
	}
	after, err := sharedMemory(s.host.pid)
	if err == nil && len(after) != len(before) {
		err = errors.New("another connection was made meanwhile")
	}
	if err != nil {
		return sight{}, fmt.Errorf("%w: %w", errEavesdrop, err)
	}
	at := bytes.Index(after, []byte(sample))
	found := at >= 0
	if !found {
		at = arrival(before, after)
	}
	at = min(at, len(after)-rows*rowSize) &^ (rowSize - 1)
	return sight{memory: after, found: found, at: at}, nil
}

// arrival returns where the longest new range of bytes begins. A range may contain
// bytes that are the same as before by chance.
func arrival(before, after []byte) (at int) {
	const chance = 8
	longest, begin, last := 0, -1, -1
	for i := controlSize; i < len(after); i++ {
		if before[i] == after[i] {
			continue
		}
		if begin < 0 || i-last > chance {
			begin = i
		}
		last = i
		if n := last + 1 - begin; n > longest {
			longest, at = n, begin
		}
	}
	return at
}

// row formats bytes as hexdump -C does.
func row(b []byte) string {
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, latin1(b))
	spaced := make([]string, len(b))
	for i := range b {
		spaced[i] = hex.EncodeToString(b[i : i+1])
	}
	return strings.Join(spaced, " ") + "  |" + printable + "|"
}

// latin1 makes one character of each byte.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

// say writes a line to standard error.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
