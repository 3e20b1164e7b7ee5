package transport_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/sealport/sealport/transport"
)

// sealport is this package as its users have it.
type sealport struct{}

func (sealport) serve(folder string, handle func(size int), ready func()) {
	endpoint, cfg := benchConfig(folder)
	_, err := transport.NewHost(endpoint, func(_ context.Context, m transport.Message[[]byte]) {
		if len(m.Body) == marker {
			check(m.Reply(background, m.Body))
			return
		}
		handle(len(m.Body))
	}, cfg)
	check(err)
	ready()
	select {}
}

func (sealport) dial(folder string) (benchClient, error) {
	endpoint, cfg := benchConfig(folder)
	c, err := transport.NewClient[[]byte](background, endpoint, cfg)
	return sealportClient{c}, err
}

type sealportClient struct{ *transport.Client[[]byte] }

func (c sealportClient) send(p []byte) error { return c.Send(background, p) }

func (c sealportClient) receive() error {
	_, err := c.Receive(background)
	return err
}

// stream is what people write where they have nothing better: a Unix stream
// socket, a length before each message, a flush after it.
type stream struct{}

func (stream) serve(folder string, handle func(size int), ready func()) {
	check(os.MkdirAll(folder, 0o700))
	l, err := net.Listen("unix", filepath.Join(folder, "s"))
	check(err)
	ready()
	for {
		conn, err := l.Accept()
		check(err)
		go func() {
			c := newStreamClient(conn)
			for {
				p, err := c.next()
				if err != nil {
					return
				}
				if len(p) == marker {
					check(c.send(p))
					continue
				}
				handle(len(p))
			}
		}()
	}
}

func (stream) dial(folder string) (benchClient, error) {
	conn, err := net.Dial("unix", filepath.Join(folder, "s"))
	if err != nil {
		return nil, err
	}
	return newStreamClient(conn), nil
}

type streamClient struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	buf  []byte
	head [4]byte
}

func newStreamClient(conn net.Conn) *streamClient {
	return &streamClient{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
}

func (c *streamClient) send(p []byte) error {
	binary.LittleEndian.PutUint32(c.head[:], uint32(len(p)))
	if _, err := c.w.Write(c.head[:]); err != nil {
		return err
	}
	if _, err := c.w.Write(p); err != nil {
		return err
	}
	return c.w.Flush()
}

func (c *streamClient) next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	p := c.buf[:n]
	_, err := io.ReadFull(c.r, p)
	return p, err
}

func (c *streamClient) receive() error {
	_, err := c.next()
	return err
}
