package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// maxLine is the length in bytes of the longest line that is sent: the default
// limit of messages, less the other fields of a note.
const maxLine = transport.DefaultMaxMessageSize - 64

// side is one of the two ways that the lines take.
type side struct {
	name   string
	host   *process
	client *transport.Client[note]

	sent    *tally
	arrived note          // the host's answer to count
	took    time.Duration // until all lines had arrived, without waiting for the input
}

// newSide starts a host and connects to it; with key for a secure one. For gone
// see start.
func newSide(ctx context.Context, p part, key keys.PrivateKey, gone func(error)) (*side, error) {
	p.Client = key.Public()
	h, err := start(p, gone)
	if err != nil {
		return nil, err
	}
	s := &side{name: p.Name, host: h, sent: newTally()}
	if key.IsZero() {
		s.client, err = transport.NewClient[note](ctx, p.Endpoint, nil)
	} else {
		s.client, err = secure.NewSecureClient[note](ctx, p.Endpoint, &secure.Config{Key: key, Trust: keys.Pin(h.key)})
	}
	if err != nil {
		return nil, errors.Join(err, h.end())
	}
	return s, nil
}

func (s *side) close() error { return errors.Join(s.client.Close(), s.host.end()) }

// send sends one line.
func (s *side) send(ctx context.Context, text string) error {
	s.sent.add(text)
	begin := time.Now()
	err := s.client.Send(ctx, note{kind: line, text: text})
	s.took += time.Since(begin)
	return err
}

// settle asks the host what has arrived.
func (s *side) settle(ctx context.Context) (err error) {
	begin := time.Now()
	s.arrived, err = s.ask(ctx)
	s.took += time.Since(begin)
	return err
}

// errDisagree means that the lines that arrived differ from those that were sent.
var errDisagree = errors.New("the host did not receive the lines that were sent")

// agree returns errDisagree unless the host received exactly the lines that were sent.
func (s *side) agree() error {
	switch sent := s.sent.note(); {
	case s.arrived.number != sent.number:
		return fmt.Errorf("%s: %w: %d lines, not %d", s.name, errDisagree, s.arrived.number, sent.number)
	case s.arrived != sent:
		return fmt.Errorf("%s: %w", s.name, errDisagree)
	}
	return nil
}

// ask asks the host for its tally, which it has when all that was sent before has
// been handled.
func (s *side) ask(ctx context.Context) (note, error) {
	if err := s.client.Send(ctx, note{kind: count}); err != nil {
		return note{}, err
	}
	return s.client.Receive(ctx)
}

// sendLines sends each line, as soon as it is read, to all sides. It returns the
// sample of the last one that has one.
func sendLines(ctx context.Context, input io.Reader, sides ...*side) (sample string, err error) {
	lines := &lineReader{r: bufio.NewReaderSize(input, 64<<10), max: maxLine}
	for {
		read, err := lines.next()
		if err == io.EOF {
			break
		} else if err != nil {
			return "", fmt.Errorf("line %d: %w", sides[0].sent.lines+1, err)
		}
		text := string(read)
		for _, s := range sides {
			if err := s.send(ctx, text); err != nil {
				return "", err
			}
		}
		if found := sampleOf(text); found != "" {
			sample = found
		}
	}
	for _, s := range sides {
		err = errors.Join(err, s.settle(ctx))
	}
	return sample, err
}

// errLineTooLong means that a line is longer than any message.
var errLineTooLong = errors.New("line too long")

// lineReader splits input into lines, of which it holds one at a time. A carriage
// return stays where it is.
type lineReader struct {
	r    *bufio.Reader
	max  int // bytes in a line
	line []byte
}

// next returns the next line without its end, valid until the next call; io.EOF
// after the last.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	for {
		piece, err := l.r.ReadSlice('\n')
		l.line = append(l.line, piece...)
		line, ended := bytes.CutSuffix(l.line, []byte("\n"))
		switch {
		case len(line) > l.max:
			return nil, fmt.Errorf("%w: more than %d bytes", errLineTooLong, l.max)
		case ended, err == io.EOF && len(line) > 0:
			return line, nil
		case err != nil && err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// How long each measurement takes.
const (
	rateTime = 400 * time.Millisecond
	tripTime = 200 * time.Millisecond
)

// rate measures how many messages of 64 bytes arrive in a second, on this machine
// and at this moment.
func (s *side) rate(ctx context.Context) (perSecond float64, err error) {
	n := note{kind: silent, text: strings.Repeat("x", 64)}
	begin := time.Now()
	messages := 0
	for time.Since(begin) < rateTime {
		for range 1000 {
			if err := s.client.Send(ctx, n); err != nil {
				return 0, err
			}
			messages++
		}
	}
	if _, err := s.ask(ctx); err != nil {
		return 0, err
	}
	return float64(messages) / time.Since(begin).Seconds(), nil
}

// trip measures how long a question and its answer take.
func (s *side) trip(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	for trips := time.Duration(1); ; trips++ {
		if _, err := s.ask(ctx); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took > tripTime {
			return took / trips, nil
		}
	}
}
