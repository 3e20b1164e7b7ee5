package main

import "net"

// A datagram for each message keeps their borders without a length in front, and
// costs a system call on each side.

// largestDatagram is what fits into Linux's default send buffer
// (net.core.wmem_default, 212,992 bytes) with room to spare.
const largestDatagram = 128 << 10

func serveSeqpacket(address string) (server, error) {
	return newStreamServer("unixpacket", address, func(nc net.Conn) (uint64, error) {
		return answer(newPacketConn(nc))
	})
}

func dialSeqpacket(address string) (conn, error) {
	nc, err := net.Dial("unixpacket", address)
	if err != nil {
		return nil, err
	}
	return newPacketConn(nc), nil
}

type packetConn struct {
	nc  net.Conn
	buf []byte
}

func newPacketConn(nc net.Conn) packetConn {
	return packetConn{nc, make([]byte, largestDatagram)}
}

func (c packetConn) send(p []byte) error {
	_, err := c.nc.Write(p)
	return err
}

func (c packetConn) flush() error { return nil }

func (c packetConn) receive() ([]byte, error) {
	n, err := c.nc.Read(c.buf)
	return c.buf[:n], err
}

func (c packetConn) close() error { return c.nc.Close() }
