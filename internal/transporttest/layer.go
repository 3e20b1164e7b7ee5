package transporttest

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// Host is a Host[T] of any T.
type Host interface {
	Endpoint() string
	Stats() transport.Stats
	Shutdown(ctx context.Context) error
	Close() error
}

// Client is a Client[T].
type Client[T any] interface {
	Send(ctx context.Context, v T) error
	Receive(ctx context.Context) (T, error)
	Flush(ctx context.Context) error
	Peer() *peer.Identity
	Endpoint() string
	Stats() transport.Stats
	Close() error
}

// Conn is a Conn.
type Conn interface {
	Send(ctx context.Context, p []byte) error
	Receive(ctx context.Context) ([]byte, error)
	Flush(ctx context.Context) error
	CloseWrite(ctx context.Context) error
	Close() error
	Peer() *peer.Identity
	Endpoint() string
	MaxMessageSize() int
	Gone() <-chan struct{}
	Stats() transport.Stats
}

// Listener is a Listener.
type Listener interface {
	Accept(ctx context.Context) (Conn, error)
	Endpoint() string
	Close() error
}

// Typed are the constructors for one type of message. A nil codec stands for
// the one that belongs to the type.
type Typed[T any] struct {
	NewHost   func(endpoint string, codec transport.Codec[T], handler func(transport.Message[T]), cfg *transport.Config) (Host, error)
	NewClient func(ctx context.Context, endpoint string, codec transport.Codec[T], cfg *transport.Config) (Client[T], error)
}

// Layer is what the suite tests. Each constructor takes the part of the
// configuration that every layer has and adds its own, such as keys.
type Layer struct {
	Bytes   Typed[[]byte]
	Strings Typed[string]
	Notes   Typed[Note]
	Points  Typed[Point]
	Refs    Typed[*Ref]

	// Secure is whether connections say so in their hello and hold small messages
	// back while the peer is behind, as attested ones do.
	Secure bool

	Listen func(endpoint string, cfg *transport.Config) (Listener, error)
	Dial   func(ctx context.Context, endpoint string, cfg *transport.Config) (Conn, error)
}

// Note is a message that travels as JSON.
type Note struct {
	Number int
	Text   string
	Tags   []string
}

// Point brings its own encoding: the appender on the value, as the newer
// interface wants it.
type Point struct{ X, Y uint32 }

// AppendBinary implements encoding.BinaryAppender. A point on the diagonal
// does not encode.
func (p Point) AppendBinary(b []byte) ([]byte, error) {
	if p.X == p.Y {
		return b, errDiagonal
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, p.X), p.Y), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (p *Point) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return errPointSize
	}
	*p = Point{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
	return nil
}

// Ref is sent by pointer and has the older interface.
type Ref struct{ name string }

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *Ref) MarshalBinary() ([]byte, error) { return []byte(r.name), nil }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (r *Ref) UnmarshalBinary(b []byte) error {
	r.name = string(b)
	return nil
}

var (
	errDiagonal  = errors.New("point on the diagonal")
	errPointSize = errors.New("a point has eight bytes")
)

// variant is a way between host and client. All of them must behave alike.
type variant struct {
	name     string
	set      func(*transport.Config)
	shortcut bool // no connection in between, so no Listen and Dial
}

var variants = []variant{
	{name: "memory", set: func(c *transport.Config) { c.NoInProcess = true }},
	{name: "attested", set: func(c *transport.Config) { c.NoInProcess, c.Attested = true, true }},
	{name: "in-process", set: func(*transport.Config) {}, shortcut: true},
}

// env is what one test works with: a folder of its own, so that the endpoint's
// name need not be.
type env struct {
	Layer
	variant
	folder string
}

const (
	endpoint = "com.example.test"

	// limit is when a test has hung.
	limit = 30 * time.Second

	// tick is how often a condition is looked at that nobody announces.
	tick = time.Millisecond
)

func newEnv(t *testing.T, l Layer, v variant) *env {
	return &env{Layer: l, variant: v, folder: filepath.Join(t.TempDir(), "endpoints")}
}

// config is the variant's configuration with changes.
func (e *env) config(changes ...func(*transport.Config)) *transport.Config {
	c := &transport.Config{Folder: e.folder}
	e.set(c)
	for _, change := range changes {
		change(c)
	}
	return c
}

// holds reports whether messages are held back, and with them what follows from
// it: the frames that Unread counts are not messages, and Close takes its time for
// a peer who does not read.
func (e *env) holds() bool { return e.Secure || e.config().Attested }

// context30 ends when the test has hung.
func context30(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// Run runs the whole suite.
func Run(t *testing.T, l Layer) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			for _, c := range typedTests {
				t.Run(c.name, func(t *testing.T) { c.run(t, newEnv(t, l, v)) })
			}
			if v.shortcut {
				return
			}
			for _, c := range append(append(connTests, wireTests...), processTests...) {
				t.Run(c.name, func(t *testing.T) { c.run(t, newEnv(t, l, v)) })
			}
		})
	}
	t.Run("config", func(t *testing.T) { testConfig(t, l) })
}

// test is one behaviour.
type test struct {
	name string
	run  func(t *testing.T, e *env)
}
