package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
)

// note is the type of the messages. It brings its own encoding: the kind, the
// number, the text.
type note struct {
	kind   byte
	number uint64
	text   string
}

// The kinds of note.
const (
	line   byte = iota // a line to show and count
	silent             // a line to ignore
	count              // a question: how many lines were there? The answer has the tally's sum as its text
)

// AppendBinary implements encoding.BinaryAppender.
func (n note) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, n.kind)
	b = binary.AppendUvarint(b, n.number)
	return append(b, n.text...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (n *note) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return errors.New("empty note")
	}
	number, size := binary.Uvarint(b[1:])
	if size <= 0 {
		return errors.New("note without a number")
	}
	*n = note{kind: b[0], number: number, text: string(b[1+size:])}
	return nil
}

// tally counts lines and hashes them, each with its length, so that two tallies
// have the same sum only for the same lines in the same order.
type tally struct {
	lines uint64
	hash  hash.Hash
	buf   []byte
}

func newTally() *tally { return &tally{hash: sha256.New()} }

func (t *tally) add(text string) {
	t.lines++
	t.buf = binary.LittleEndian.AppendUint64(t.buf[:0], uint64(len(text)))
	t.buf = append(t.buf, text...)
	t.hash.Write(t.buf)
}

// note is the answer to count.
func (t *tally) note() note {
	return note{kind: count, number: t.lines, text: string(t.hash.Sum(nil))}
}
