package secure_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// sealport is this package, or package transport, as its users have it.
type sealport struct{ secured bool }

func (s sealport) serve(dir string, ready func()) {
	handle := func(_ context.Context, m transport.Message[[]byte]) {
		if len(m.Body) == marker {
			check(m.Reply(background, m.Body))
		}
	}
	plain := &transport.Config{Dir: dir}
	var err error
	if s.secured {
		_, err = secure.NewSecureHost(benchEndpoint, handle, hostConfig(plain))
	} else {
		_, err = transport.NewHost(benchEndpoint, handle, plain)
	}
	check(err)
	ready()
	select {}
}

func (s sealport) dial(dir string) (benchClient, error) {
	plain := &transport.Config{Dir: dir}
	if s.secured {
		c, err := secure.NewSecureClient[[]byte](background, benchEndpoint, clientConfig(plain))
		return sealportClient{c}, err
	}
	c, err := transport.NewClient[[]byte](background, benchEndpoint, plain)
	return sealportClient{c}, err
}

type sealportClient struct{ *transport.Client[[]byte] }

func (c sealportClient) send(p []byte) error { return c.Send(background, p) }

func (c sealportClient) receive() error {
	_, err := c.Receive(background)
	return err
}

// overStream is what people write: a Unix stream socket, made secure, a length
// before each message, and a flush after it or after 64 KiB.
type overStream struct {
	secure func(conn net.Conn, host bool) (net.Conn, error)
	batch  bool
}

func (s overStream) serve(dir string, ready func()) {
	check(os.MkdirAll(dir, 0o700))
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	check(err)
	ready()
	for {
		conn, err := l.Accept()
		check(err)
		go func() {
			safe, err := s.secure(conn, true)
			if err != nil {
				return
			}
			c := newStreamClient(safe, false)
			for {
				n, err := c.next()
				if err != nil {
					return
				}
				if n == marker {
					check(c.send(markerBytes))
				}
			}
		}()
	}
}

func (s overStream) dial(dir string) (benchClient, error) {
	conn, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, err
	}
	safe, err := s.secure(conn, false)
	if err != nil {
		return nil, err
	}
	return newStreamClient(safe, s.batch), nil
}

type streamClient struct {
	net.Conn
	batch bool
	r     *bufio.Reader
	w     *bufio.Writer
	buf   []byte
}

func newStreamClient(conn net.Conn, batch bool) *streamClient {
	return &streamClient{Conn: conn, batch: batch, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
}

func (c *streamClient) send(p []byte) error {
	if _, err := c.w.Write(binary.LittleEndian.AppendUint32(c.w.AvailableBuffer(), uint32(len(p)))); err != nil {
		return err
	}
	if _, err := c.w.Write(p); err != nil {
		return err
	}
	if c.batch && len(p) != marker {
		return nil
	}
	return c.w.Flush()
}

func (c *streamClient) next() (int, error) {
	head, err := c.r.Peek(4)
	if err != nil {
		return 0, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	_, _ = c.r.Discard(4)
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	_, err = io.ReadFull(c.r, c.buf[:n])
	return n, err
}

func (c *streamClient) receive() error {
	_, err := c.next()
	return err
}

// tlsWith is TLS 1.3 with a certificate on both sides, as sealport has a key on
// both. Which AEAD it takes Go decides by the hardware of both sides, so for
// ChaCha20 it is TLS 1.2, where a configuration may choose.
func tlsWith(aes bool) func(conn net.Conn, host bool) (net.Conn, error) {
	return func(conn net.Conn, host bool) (net.Conn, error) {
		certificate, err := selfSigned()
		if err != nil {
			return nil, err
		}
		config := &tls.Config{
			Certificates:       []tls.Certificate{certificate},
			ClientAuth:         tls.RequireAnyClientCert,
			InsecureSkipVerify: true, // what is measured is not the chain
			MinVersion:         tls.VersionTLS13,
		}
		if !aes {
			config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		}
		safe := tls.Client(conn, config)
		if host {
			safe = tls.Server(conn, config)
		}
		return safe, safe.Handshake()
	}
}

// certificates are made once in each process.
var selfSigned = func() func() (tls.Certificate, error) {
	var made *tls.Certificate
	return func() (tls.Certificate, error) {
		if made != nil {
			return *made, nil
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return tls.Certificate{}, err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return tls.Certificate{}, err
		}
		made = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		return *made, nil
	}
}()

// noiseXX is flynn/noise as its users write it: XX, and each Write in records of
// at most 64 KiB with a length before each.
func noiseXX(conn net.Conn, host bool) (net.Conn, error) {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2b)
	key, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		return nil, err
	}
	state, err := noise.NewHandshakeState(noise.Config{CipherSuite: suite, Pattern: noise.HandshakeXX, Initiator: !host, StaticKeypair: key})
	if err != nil {
		return nil, err
	}
	c := &noiseConn{Conn: conn, in: make([]byte, 2+65535)}
	for i := range 3 {
		var first, second *noise.CipherState
		if (i%2 == 0) != host {
			var msg []byte
			if msg, first, second, err = state.WriteMessage(nil, nil); err == nil {
				err = c.frame(msg)
			}
		} else {
			var msg []byte
			if msg, err = c.unframe(); err == nil {
				_, first, second, err = state.ReadMessage(nil, msg)
			}
		}
		if err != nil {
			return nil, err
		}
		if first != nil {
			c.send, c.receive = first, second
			if host {
				c.send, c.receive = second, first
			}
		}
	}
	return c, nil
}

type noiseConn struct {
	net.Conn
	send, receive *noise.CipherState
	in, out, rest []byte
}

const noisePlain = 65535 - 16

func (c *noiseConn) frame(p []byte) error {
	_, err := c.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...))
	return err
}

func (c *noiseConn) unframe() ([]byte, error) {
	if _, err := io.ReadFull(c.Conn, c.in[:2]); err != nil {
		return nil, err
	}
	p := c.in[2 : 2+int(binary.BigEndian.Uint16(c.in))]
	_, err := io.ReadFull(c.Conn, p)
	return p, err
}

func (c *noiseConn) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		part := p[done:min(len(p), done+noisePlain)]
		c.out = binary.BigEndian.AppendUint16(c.out[:0], uint16(len(part)+16))
		var err error
		if c.out, err = c.send.Encrypt(c.out, nil, part); err != nil {
			return done, err
		}
		if _, err := c.Conn.Write(c.out); err != nil {
			return done, err
		}
		done += len(part)
	}
	return len(p), nil
}

func (c *noiseConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		sealed, err := c.unframe()
		if err != nil {
			return 0, err
		}
		if c.rest, err = c.receive.Decrypt(sealed[:0], nil, sealed); err != nil {
			return 0, fmt.Errorf("noise: %w", err)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
