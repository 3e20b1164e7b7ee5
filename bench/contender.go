package main

import (
	"runtime"
	"slices"
)

// A contender is a way to carry messages from one process to another.
//
// A server answers each message whose first byte is ask by sending it back, and
// drops the others.
type contender struct {
	name string

	// largest is the size in bytes of the largest message, 0 for no limit.
	largest int

	serve func(address string) (server, error)
	dial  func(address string) (conn, error)
}

// The first byte of a message.
const (
	drop byte = iota
	ask
)

// server serves until stop, which returns how many messages it has received.
type server interface {
	stop() (received uint64, err error)
}

// conn is a client's connection, used by one goroutine.
type conn interface {
	// send sends a message and does not keep it.
	send(p []byte) error
	// flush sends what send has buffered.
	flush() error
	// receive returns the next answer, valid until the next call.
	receive() ([]byte, error)
	close() error
}

// handWritten is the contender that the others are compared with.
const handWritten = "stream, flush"

// contenders are in the order of the table: those of this system.
func contenders() []contender {
	all := []contender{
		{name: handWritten, serve: serveStream(true), dial: dialStream(true)},
		{name: "stream, batch", serve: serveStream(true), dial: dialStream(false)},
		{name: "seqpacket", largest: largestDatagram, serve: serveSeqpacket, dial: dialSeqpacket},
		{name: "TLS, flush", serve: serveTLS(true), dial: dialTLS(true)},
		{name: "TLS, batch", serve: serveTLS(true), dial: dialTLS(false)},
		{name: "sealport ring", serve: serveSealport(plain), dial: dialSealport(plain)},
		{name: "sealport attested", serve: serveSealport(attested), dial: dialSealport(attested)},
		{name: "sealport secure", serve: serveSealport(secured), dial: dialSealport(secured)},
	}
	if runtime.GOOS == "linux" {
		return all
	}
	return slices.DeleteFunc(all, func(c contender) bool { return linuxOnly[c.name] })
}

// linuxOnly are sockets that others do not have, and what is the same elsewhere:
// each Mach message carries its sender.
var linuxOnly = map[string]bool{"seqpacket": true, "sealport attested": true}

// roundTrip asks and waits for the answer.
func roundTrip(c conn, p []byte) error {
	p[0] = ask
	if err := c.send(p); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	answer, err := c.receive()
	if err != nil {
		return err
	}
	return sameSize(p, answer)
}
