// Package nodetest is the carrier of a program that can't open sockets of the
// kind that sealport uses, nor map memory: it makes the connection and then copies
// frames between the link and a pipe, without looking inside. It is for tests of
// package secure against another implementation, in Node.
//
// The program runs the bridge as a process of its own, which is the one that the
// kernel names to the peer, and reads and writes packets on its standard streams:
//
//	length (4, little endian) ‖ kind (1) ‖ content (length − 1)
//
// The bridge tells what it does, the program what it wants:
//
//	bridge   Listening  -            the endpoint is there (host)
//	         Connected  JSON         Info: a hello has come
//	         Frame      frame        of the peer
//	         End        -            the peer's end marker
//	         Gone       text         the link has ended otherwise
//	program  Accept     hello        the host's answer
//	         Refuse     hello        the same, without a connection
//	         Frame      frame        to the peer
//	         End        -            this side's end marker
//
// A client's hello is an argument. The end of the bridge's standard input ends the
// connection.
package nodetest

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/peer"
)

// Kind is what a packet is.
type Kind byte

// The kinds.
const (
	Listening Kind = 'L'
	Connected Kind = 'C'
	Frame     Kind = 'F'
	End       Kind = 'E'
	Gone      Kind = 'G'
	Accept    Kind = 'A'
	Refuse    Kind = 'R'
)

// maxPacket bounds a packet in bytes: every link's frames are smaller.
const maxPacket = 1 << 20

var errPacket = errors.New("malformed packet")

// Info is what the program needs to know of the two processes.
type Info struct {
	Endpoint string `json:"endpoint"`
	Self     string `json:"self"` // peer.Identity.Binding, hexadecimal
	Peer     string `json:"peer"`
	Hello    string `json:"hello"`    // the peer's, hexadecimal
	Accepted bool   `json:"accepted"` // client: there is a link
	MaxFrame int    `json:"maxFrame"` // bytes; 0 for a host before it has accepted
}

// bridge is one connection.
type bridge struct {
	in      *bufio.Reader
	mu      sync.Mutex
	out     *bufio.Writer // guarded by mu
	flipIn  int
	flipOut int
}

// Run is the bridge. It blocks until the connection has ended and in has ended.
func Run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("nodetest", flag.ContinueOnError)
	host := flags.Bool("host", false, "serve the endpoint; else reach it")
	endpoint := flags.String("endpoint", "", "its `name`")
	hello := flags.String("hello", "", "the client's hello, `hexadecimal`")
	var o rendezvous.Options
	flags.StringVar(&o.Dir, "dir", "", "the `directory` of the endpoint")
	flags.BoolVar(&o.Attested, "attested", false, "use the socket, not memory")
	b := &bridge{in: bufio.NewReader(in), out: bufio.NewWriter(out)}
	flags.IntVar(&b.flipIn, "flip-in", 0, "change a bit of the peer's `n`th frame")
	flags.IntVar(&b.flipOut, "flip-out", 0, "change a bit of the program's `n`th frame")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *host {
		return b.host(ctx, *endpoint, o)
	}
	first, err := hex.DecodeString(*hello)
	if err != nil {
		return err
	}
	return b.client(ctx, *endpoint, first, o)
}

func (b *bridge) client(ctx context.Context, endpoint string, hello []byte, o rendezvous.Options) error {
	carrier, err := rendezvous.System()
	if err != nil {
		return err
	}
	out, err := carrier.Dial(ctx, endpoint, hello, o)
	if err != nil {
		return err
	}
	info, err := infoOf(endpoint, out.Hello(), out.Credentials())
	if err != nil {
		return errors.Join(err, out.Close())
	}
	if !out.Accepted() {
		return errors.Join(b.tell(Connected, info), out.Close())
	}
	l, err := out.Link()
	if err != nil {
		return err
	}
	info.Accepted = true
	return b.carry(ctx, l, info)
}

func (b *bridge) host(ctx context.Context, endpoint string, o rendezvous.Options) error {
	carrier, err := rendezvous.System()
	if err != nil {
		return err
	}
	listener, err := carrier.Listen(endpoint, o)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := b.write(Listening, nil); err != nil {
		return err
	}
	incoming, err := listener.Accept()
	if err != nil {
		return err
	}
	hello, err := incoming.Hello(ctx)
	if err != nil {
		return errors.Join(err, incoming.Close())
	}
	info, err := infoOf(endpoint, hello, incoming.Credentials())
	if err == nil {
		err = b.tell(Connected, info)
	}
	if err != nil {
		return errors.Join(err, incoming.Close())
	}
	kind, answer, err := b.read()
	switch {
	case err != nil:
		return errors.Join(err, incoming.Close())
	case kind == Refuse:
		return incoming.Refuse(ctx, answer)
	case kind != Accept:
		return errors.Join(errPacket, incoming.Close())
	}
	l, err := incoming.Accept(ctx, answer)
	if err != nil {
		return err
	}
	info.Accepted = true
	return b.carry(ctx, l, info)
}

// infoOf is Info for a peer.
func infoOf(endpoint string, hello []byte, c *cred.Credentials) (Info, error) {
	info := Info{Endpoint: endpoint, Hello: hex.EncodeToString(hello)}
	self, err := peer.Self()
	if err != nil {
		return info, err
	}
	other, err := peer.Identify(c)
	if err != nil {
		return info, errors.Join(err, self.Close())
	}
	info.Self, info.Peer = hex.EncodeToString(self.Binding()), hex.EncodeToString(other.Binding())
	return info, errors.Join(self.Close(), other.Close())
}

// carry says that there is a link and copies frames. It takes l over.
func (b *bridge) carry(ctx context.Context, l link.Link, info Info) error {
	info.MaxFrame = l.MaxFrame()
	err := b.tell(Connected, info)
	reader := make(chan error, 1)
	go func() { reader <- b.fromLink(ctx, l) }()
	if err == nil {
		err = b.toLink(ctx, l)
	}
	l.Interrupt()
	return errors.Join(err, <-reader, l.Close())
}

// fromLink copies the peer's frames, and says how they ended.
func (b *bridge) fromLink(ctx context.Context, l link.Link) error {
	for n := 1; ; n++ {
		frame, err := l.ReadFrame(ctx)
		switch {
		case err == io.EOF:
			return b.write(End, nil)
		case errors.Is(err, link.ErrClosed):
			return nil
		case err != nil:
			return b.write(Gone, []byte(err.Error()))
		}
		flip(frame, n == b.flipIn)
		if err := b.write(Frame, frame); err != nil {
			return err
		}
	}
}

// toLink copies the program's frames until its end. A peer that has gone is no
// error: the reader says so.
func (b *bridge) toLink(ctx context.Context, l link.Link) error {
	for n := 1; ; n++ {
		kind, content, err := b.read()
		if err == io.EOF {
			return nil
		}
		switch {
		case err != nil:
			return err
		case kind == Frame:
			flip(content, n == b.flipOut)
			err = l.WriteFrame(ctx, nil, content)
		case kind == End:
			err = l.CloseWrite(ctx)
		default:
			err = errPacket
		}
		if err != nil && !errors.Is(err, link.ErrPeerGone) {
			return err
		}
	}
}

// flip changes the last bit.
func flip(frame []byte, really bool) {
	if really && len(frame) > 0 {
		frame[len(frame)-1] ^= 1
	}
}

func (b *bridge) tell(kind Kind, info Info) error {
	content, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return b.write(kind, content)
}

// write sends a packet. It may be called concurrently.
func (b *bridge) write(kind Kind, content []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	head := append(binary.LittleEndian.AppendUint32(nil, uint32(1+len(content))), byte(kind))
	for _, part := range [][]byte{head, content} {
		if _, err := b.out.Write(part); err != nil {
			return err
		}
	}
	return b.out.Flush()
}

// read returns io.EOF only between packets.
func (b *bridge) read() (Kind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxPacket {
		return 0, nil, fmt.Errorf("%w: %d bytes", errPacket, n)
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(b.in, content); err != nil {
		return 0, nil, fmt.Errorf("%w: cut off", errPacket)
	}
	return Kind(content[0]), content[1:], nil
}
