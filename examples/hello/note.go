package main

import (
	"encoding/binary"
	"errors"
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
	line   byte = iota // a line to show
	silent             // a line not to show
	count              // how many lines were there? and the answer
	bye                // this was all
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
