package main

import "errors"

// message is a question or its answer, in JSON.
type message struct {
	// Of a question: what to do, with which setting. Of an answer: empty.
	Verb string `json:",omitempty"`
	Name string `json:",omitempty"`

	// Text is the value to set, or the answer.
	Text string `json:",omitempty"`

	// Error says why there is no answer.
	Error string `json:",omitempty"`
}

// errVerb means that a question is not one of those in the program's comment.
var errVerb = errors.New("unknown request; use who, list, get or set")
