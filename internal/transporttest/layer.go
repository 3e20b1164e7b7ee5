package transporttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
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

// Typed are the constructors for one type of message. A nil codec stands for
// the one that belongs to the type.
type Typed[T any] struct {
	NewHost   func(endpoint string, s transport.Service[T], cfg *transport.Config) (*transport.Host[T], error)
	NewClient func(ctx context.Context, endpoint string, codec transport.Codec[T], cfg *transport.Config) (*transport.Client[T], error)

	endpoint string // that the test uses
}

// Layer is what the suite tests. Each constructor takes the part of the
// configuration that every layer has and adds its own, such as keys.
type Layer struct {
	Bytes   Typed[[]byte]
	Strings Typed[string]
	Notes   Typed[Note]
	Points  Typed[Point]
	Refs    Typed[*Ref]
	Items   Typed[Item]

	// Secure is whether connections say so in their hello and coalesce small
	// messages while the peer is backlogged, as attested ones do.
	Secure bool

	Listen func(endpoint string, cfg *transport.Config) (*transport.Listener, error)
	Dial   func(ctx context.Context, endpoint string, cfg *transport.Config) (*transport.Conn, error)
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
	name   string
	set    func(*transport.Config)
	inside bool // client and host are in this process, and use no kernel
	mach   bool // endpoints are Mach services: no directory
	alone  bool // on a kernel of machtest's with this process alone
	most   int  // bytes that one direction holds, by the documents
}

var (
	inMemory    = variant{name: "memory", set: kernelOnly, most: 2 << 20}
	attested    = variant{name: "attested", set: func(c *transport.Config) { c.NoInProcess, c.Attested = true, true }, most: 2 << 20}
	machPorts   = variant{name: "mach", set: kernelOnly, mach: true, alone: runtime.GOOS != "darwin", most: mach.QueueLimitMax*machlink.MaxFrame + 1<<20}
	machCounted = variant{name: "mach-counted", set: kernelOnly, mach: true, alone: true, most: machPorts.most}
	inProcess   = variant{name: "in-process", set: func(*transport.Config) {}, inside: true, mach: runtime.GOOS == "darwin", most: 1 << 20}
)

func kernelOnly(c *transport.Config) { c.NoInProcess = true }

// variants are those of this system. Where Mach is not the system's, machtest stands in;
// where it is, machtest can count the rights besides.
var variants = func() []variant {
	switch runtime.GOOS {
	case "linux":
		return []variant{inMemory, attested, machPorts, inProcess}
	case "darwin":
		if os.Getenv(machtest.Variable) != "" {
			return []variant{machPorts, machCounted, inProcess}
		}
		return []variant{machPorts, inProcess}
	}
	return nil
}()

// env is what one test works with: an endpoint and a directory of its own. Mach has
// no directories, and launchd may take a moment to forget a name.
type env struct {
	Layer
	variant
	endpoint string
	dir      string             // "" where endpoints are Mach services
	carrier  rendezvous.Carrier // of machtest; nil: the system's
}

const (
	// limit is when a test has hung.
	limit = 30 * time.Second

	// tick is how often a condition is polled.
	tick = time.Millisecond

	// beyondBuffers is the size in bytes of a message that no carrier holds whole
	// while the peer does not receive.
	beyondBuffers = 48 << 20
)

func newEnv(t *testing.T, l Layer, v variant) *env {
	e := &env{Layer: l, variant: v}
	endpoint, dir := Place(t)
	if !v.mach {
		e.dir = dir
	}
	if v.alone {
		e.carrier = machCarrier(t)
	}
	e.at(endpoint)
	return e
}

var endpoints atomic.Int64

// Place returns the name of an endpoint and its directory, for no other test. The
// directory does not exist yet; it is "" where endpoints have none.
func Place(t testing.TB) (endpoint, dir string) {
	t.Helper()
	if runtime.GOOS == "linux" {
		dir = filepath.Join(t.TempDir(), "endpoints")
	}
	return fmt.Sprintf("com.example.test.%d.%d", os.Getpid(), endpoints.Add(1)), dir
}

// Open lets other users enter the directories of a test above one of endpoints, as a host
// with Shared demands. Without a directory it does nothing.
func Open(dir string) {
	for above := filepath.Dir(dir); strings.HasPrefix(above, os.TempDir()+"/"); above = filepath.Dir(above) {
		_ = os.Chmod(above, 0o755)
	}
}

// at gives the env and what it makes their endpoint.
func (e *env) at(endpoint string) {
	e.endpoint = endpoint
	e.Bytes.endpoint, e.Strings.endpoint, e.Notes.endpoint = endpoint, endpoint, endpoint
	e.Points.endpoint, e.Refs.endpoint, e.Items.endpoint = endpoint, endpoint, endpoint
}

// self is this process as its peers see it.
func (e *env) self(t *testing.T) *peer.Identity {
	t.Helper()
	identify := peer.Self
	if e.carrier != nil {
		c, err := e.carrier.Self()
		require.NoError(t, err)
		identify = func() (*peer.Identity, error) { return peer.Identify(c) }
	}
	id, err := identify()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, id.Close()) })
	return id
}

// config is the variant's configuration with changes. A handshake may take long on a
// busy machine.
func (e *env) config(changes ...func(*transport.Config)) *transport.Config {
	c := &transport.Config{Dir: e.dir, Carrier: e.carrier, HandshakeTimeout: limit}
	e.set(c)
	for _, change := range changes {
		change(c)
	}
	return c
}

// coalesces reports whether small messages are coalesced. Then the frames that
// Unacknowledged counts are not messages, and Close gives a peer that does not read
// 5 seconds.
func (e *env) coalesces() bool { return e.Secure || e.mach || e.config().Attested }

// context30 ends when the test has hung.
func context30(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// Run runs the whole suite.
func Run(t *testing.T, l Layer) {
	if len(variants) == 0 {
		t.Skip("needs a carrier: Linux or Darwin")
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			for _, c := range v.tests(l) {
				if !c.waits() {
					t.Run(c.name, func(t *testing.T) { c.run(t, newEnv(t, l, v)) })
				}
			}
		})
	}
	t.Run("waiting", func(t *testing.T) {
		for _, v := range variants {
			for _, c := range v.tests(l) {
				if c.waits() {
					t.Run(v.name+"/"+c.name, func(t *testing.T) {
						t.Parallel()
						c.run(t, newEnv(t, l, v))
					})
				}
			}
		}
	})
	t.Run("config", func(t *testing.T) { testConfig(t, l) })
	t.Run("roles", func(t *testing.T) { testRoles(t, l) })
}

// tests are those that a variant of a layer has to pass.
func (v variant) tests(l Layer) []test {
	isAttested := v.name == attested.name
	list := slices.Concat(typedTests, leftoverTests, gracefulTests, endTests, statsTests, sessionTests, publishTests, batchTests, contextTests, roleTests, connTests)
	if long {
		list = append(list, longTests...)
	}
	if v.inside {
		list = append(list, insideTests...)
	}
	if !v.alone {
		list = append(list, slowClientTests...)
	}
	if !isAttested {
		list = append(list, bufferTests...)
	}
	if v.inside || v.alone {
		return list
	}
	list = slices.Concat(list, processTests, endProcessTests)
	if long {
		list = append(list, longProcessTests...)
	}
	if l.Secure && !long && v.name != variants[0].name {
		// What comes before a handshake is the plain layer's, and the first
		// variant shows that a handshake does not change it.
		return list
	}
	list = slices.Concat(list, wireTests, idleTests)
	if !l.Secure {
		list = append(list, plainWireTests...)
		if long {
			list = append(list, longPlainWireTests...)
		}
	}
	if !l.Secure && isAttested {
		list = append(list, attestedTests...)
	}
	return list
}

// machCarrier returns the carrier of a machine with this process alone, and checks in the
// end that nothing is left there.
func machCarrier(t *testing.T) rendezvous.Carrier {
	t.Helper()
	k := machtest.Open(t)
	task := k.NewTask(mach.AuditToken{
		1: uint32(os.Geteuid()), 2: uint32(os.Getegid()), 3: uint32(os.Getuid()), 4: uint32(os.Getgid()),
		// Not every kernel fills in the others.
		5: uint32(os.Getpid()),
	})
	t.Cleanup(func() {
		assert.Equal(t, machtest.Usage{}, task.Usage(), "rights or memory left:\n%s", task.Describe())
		assert.Zero(t, k.LivePorts())
	})
	return rendezvous.Mach(task)
}

// test is one behaviour.
type test struct {
	name string
	run  func(t *testing.T, e *env)
}

// repeat is how often a test does what it does n times over the plain layer. A secure
// connection costs a handshake.
func (e *env) repeat(n int) int {
	if e.Secure && !long {
		return n / 10
	}
	return n
}

// waits reports whether the test mostly waits for time to pass, so that it runs
// beside others of its kind.
func (c test) waits() bool {
	return c.name == "Throughput" || c.name == "IdleCostsNothing" || c.name == "CloseGivesUpHandler" || c.name == "CloseOfAStuckConnection" ||
		strings.HasPrefix(c.name, "ShutdownWithA")
}
