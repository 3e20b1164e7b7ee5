package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/transport"
)

// wireTests have a peer in another process that breaks the rules of
// docs/PROTOCOL.md. The other side goes on each time.
var wireTests = []test{
	{"ExhaustedHost", testExhaustedHost},
	{"NoMemoryFiles", testNoMemoryFiles},
	{"ExhaustedLater", testExhaustedLater},
	{"DescriptorsInFlight", testInFlight},
	{"LowDescriptorLimit", testLowLimit},
	{"NoRoomForAClient", testLittleRoom},
	{"ExhaustedClient", testExhaustedClient},
	{"ExhaustedInside", testExhaustedInside},
	{"HostileClients", testHostileClients},
	{"SilentClients", testSilentClients},
	{"Flood", testFlood},
	{"FloodOfDescriptors", testFloodOfDescriptors},
	{"SlowDescriptors", testSlowDescriptors},
	{"HostileHosts", testHostileHosts},
	{"SilentHost", testSilentHost},
	{"NeverReads", testNeverReads},
	{"PlainSocket", testPlainSocket},
	{"LostName", testLostName},
}

// plainWireTests write frames by hand. Those of a secure layer are records; see the
// fuzz target of package message.
var plainWireTests = []test{{"AnnouncesTooMuch", testAnnouncesTooMuch}}

// longPlainWireTests take seconds.
var longPlainWireTests = []test{{"ShutdownWithASlowMessage", testSlowMessage}}

// attestedTests are for plain attested connections: shared memory does not tell who
// writes it, and a process that gets a secure connection has no key to write records.
var attestedTests = []test{{"PassedOn", testPassedOn}}

func init() {
	parts["hostile client"] = hostileClient
	parts["hostile host"] = hostileHost
	parts["never reads"] = neverReads
	parts["announcer"] = announcer
	parts["slow sender"] = slowSender
	parts["passer"] = passer
	parts["heir"] = heir
}

// The wire's own numbers, written out once more: a test that took them from the
// code could not see them change.
func setupBytes(carrier byte, ring uint32, hello []byte) []byte {
	b := append([]byte("SPRT"), 1, carrier)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(hello)))
	b = binary.LittleEndian.AppendUint32(b, ring)
	return append(append(b, 0, 0, 0, 0), hello...)
}

func helloBytes(version uint16, mode, status byte, most uint64) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("sealport"), version)
	b = append(b, mode, status, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, most)
	return append(append(b, 5), "bytes"...)
}

// inMode is data with the layer's mode in its hello, where that says plain.
func (e *env) inMode(data []byte) []byte {
	const modeAt = len("sealport") + 2
	if i := bytes.Index(data, []byte("sealport")); e.Secure && i >= 0 && len(data) > i+modeAt && data[i+modeAt] == 0 {
		data = bytes.Clone(data)
		data[i+modeAt] = 1
	}
	return data
}

var goodHello = helloBytes(1, 0, 0, 1<<20)

// datagrams that a client might begin with and must not.
var badBeginnings = map[string][]byte{
	"garbage":                 []byte("GET / HTTP/1.1\r\n\r\n"),
	"one byte":                {'S'},
	"half a set-up":           setupBytes(0, 0, goodHello)[:10],
	"set-up without hello":    setupBytes(0, 0, nil),
	"half a hello":            setupBytes(0, 0, goodHello)[:30],
	"hello of another length": append(setupBytes(0, 0, goodHello), 0),
	"another set-up version":  append([]byte("SPRT\x02"), setupBytes(0, 0, goodHello)[5:]...),
	"carrier for hosts":       setupBytes(1, 1<<18, goodHello),
	"no such carrier":         setupBytes(9, 0, goodHello),
	"reserved bytes":          append(setupBytes(0, 0, nil)[:12], append([]byte{1, 0, 0, 0}, goodHello...)...),
	"too long":                setupBytes(0, 0, make([]byte, 2000)),
	"longest":                 make([]byte, 60_000),
	"not a hello":             setupBytes(0, 0, []byte(strings.Repeat("x", 24))),
	"hello without content":   setupBytes(0, 0, goodHello[:24]),
	"content cut off":         setupBytes(0, 0, goodHello[:len(goodHello)-1]),
	"content with a NUL":      setupBytes(0, 0, append(append([]byte{}, goodHello[:24]...), 1, 0)),
	"another content":         setupBytes(0, 0, append(append([]byte{}, goodHello[:24]...), 4, 'j', 's', 'o', 'n')),
	"another version":         setupBytes(0, 0, helloBytes(77, 0, 0, 1<<20)),
	"another mode":            setupBytes(0, 0, helloBytes(1, 200, 0, 1<<20)),
	"receives nothing":        setupBytes(0, 0, helloBytes(1, 0, 0, 0)),
}

func socketPath(e *env) string { return filepath.Join(e.dir, e.endpoint+".sock") }

// dialRaw connects as a client does, without saying anything.
func dialRaw(e *env) int {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(err)
	dir, err := os.Open(e.dir) // a test's directory may be too long for a socket's path
	must(err)
	path := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + e.endpoint + ".sock"
	must(unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
	must(dir.Close())
	return fd
}

// hostileClient connects and misbehaves in the way that it is told.
func hostileClient(e *env, how string) {
	for {
		fd := dialRaw(e)
		switch data, known := badBeginnings[how]; {
		case known:
			must(unix.Send(fd, e.inMode(data), 0))
			_, _ = unix.Read(fd, make([]byte, 2000)) // until the host drops us, or answers
		case how == "closes at once":
		case how == "empty datagram":
			must(unix.Sendmsg(fd, nil, nil, nil, 0))
			_, _ = unix.Read(fd, make([]byte, 2000))
		case how == "descriptors":
			for n := 1; n <= 10; n++ {
				if n > 1 {
					fd = dialRaw(e)
				}
				if err := unix.Sendmsg(fd, e.inMode(setupBytes(0, 0, goodHello)), rights(n), nil, 0); err == nil {
					_, _ = unix.Read(fd, make([]byte, 2000))
				}
				_ = unix.Close(fd)
			}
		case how == "closes half-way":
			must(unix.Send(fd, e.inMode(setupBytes(0, 0, goodHello)), 0))
		case how == "goes on with garbage":
			must(unix.Send(fd, e.inMode(setupBytes(2, 0, goodHello)), 0)) // asks for the socket as the carrier
			for _, bad := range [][]byte{{0}, {0, 1, 2}, {7, 1, 2, 3}, append([]byte{0}, make([]byte, 70_000)...)} {
				_ = unix.Send(fd, bad, unix.MSG_NOSIGNAL)
			}
			_, _ = unix.Read(fd, make([]byte, 2000))
			for n := 1; n > 0; {
				n, _ = unix.Read(fd, make([]byte, 2000))
			}
		case how == "silence":
			say("done")
			hear()
		default:
			must(errors.New("no such way: " + how))
		}
		_ = unix.Close(fd)
		say("done")
		hear()
	}
}

// rights are n descriptors that the protocol does not expect.
func rights(n int) []byte {
	fds := make([]int, n)
	for i := range fds {
		fds[i] = int(os.Stderr.Fd())
	}
	return unix.UnixRights(fds...)
}

// Whatever a client begins with, the host drops it, reports it, loses no
// descriptor, and serves the next.
func testHostileClients(t *testing.T, e *env) {
	ways := []string{"closes at once", "empty datagram", "descriptors", "closes half-way", "goes on with garbage"}
	for how := range badBeginnings {
		ways = append(ways, how)
	}
	for _, how := range ways {
		t.Run(how, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant) // a host reports the first clients of a user only
			failures := make(chan error, 1000)
			h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
				if string(m.Body) == "good" {
					assert.NoError(t, m.Reply(context.Background(), m.Body))
				}
			}, e.config(func(c *transport.Config) { c.OnError = func(err error) { failures <- err } }))
			good := client(t, e.Bytes, e.config())
			require.Eventually(t, func() bool { return h.Stats().Connections == 1 }, limit, tick)
			p := e.start(t, "hostile client", how)
			before := leaktest.Descriptors()
			p.expect(t, "done")
			p.tell(t, "again")
			p.expect(t, "done")
			if how != "closes half-way" { // that one may look like a client that left gracefully
				var failed *transport.ConnError
				require.ErrorAs(t, await(t, failures), &failed)
			}
			require.Eventually(t, func() bool { return h.Stats().Connections == 1 }, limit, tick)
			require.EventuallyWithT(t, func(t *assert.CollectT) {
				assert.Empty(t, leaktest.More(before, leaktest.Descriptors()), "descriptors left behind")
			}, limit, tick)
			ctx := context30(t)
			require.NoError(t, good.Send(ctx, []byte("good")))
			require.NoError(t, good.Flush(ctx))
			_, err := good.Receive(ctx)
			require.NoError(t, err)
		})
	}
}

// Clients that connect and send nothing are dropped after HandshakeTimeout, and others
// need not wait for that.
func testSilentClients(t *testing.T, e *env) {
	const silent = 3
	failures := make(chan error, 100)
	start := func(e *env, timeout time.Duration) Host {
		h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
			assert.NoError(t, m.Reply(context.Background(), m.Body))
		}, e.config(func(c *transport.Config) {
			c.HandshakeTimeout = timeout
			c.MaxConnections = silent + 2
			c.OnError = func(err error) { failures <- err }
		}))
		for range silent {
			e.start(t, "hostile client", "silence").expect(t, "done")
		}
		return h
	}
	h := start(newEnv(t, e.Layer, e.variant), 50*time.Millisecond)
	for range silent {
		require.ErrorIs(t, await(t, failures), context.DeadlineExceeded)
	}
	assert.Zero(t, h.Stats().Connections)

	start(e, 2*limit)
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	require.NoError(t, c.Send(ctx, []byte("meanwhile")))
	_, err := c.Receive(ctx)
	require.NoError(t, err)
}

// neverReads connects properly and then does nothing.
func neverReads(e *env, _ string) {
	_, err := e.Dial(context.Background(), e.endpoint, e.config())
	must(err)
	say("connected")
	hear()
}

// A peer that never reads stalls what is sent to it, until the sender's context
// ends; it costs no more memory than its buffer, and no other peer waits.
func testNeverReads(t *testing.T, e *env) {
	ctx := context30(t)
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	defer l.Close()
	p := e.start(t, "never reads", "")
	stalled, err := l.Accept(ctx)
	require.NoError(t, err)
	defer stalled.Close()
	p.expect(t, "connected")
	before := heap()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	payload, sent := make([]byte, 10_000), 0
	for err = error(nil); err == nil; sent++ {
		err = stalled.Send(short, payload)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, sent*len(payload), 2<<20)
	assert.Less(t, heap(), before+2<<20)

	other, err := e.Dial(ctx, e.endpoint, e.config())
	require.NoError(t, err)
	defer other.Close()
	mine, err := l.Accept(ctx)
	require.NoError(t, err)
	defer mine.Close()
	require.NoError(t, mine.Send(ctx, payload))
	require.NoError(t, mine.Flush(ctx))
	_, err = other.Receive(ctx)
	require.NoError(t, err)
	p.kill(t)
	require.ErrorIs(t, stalled.Send(ctx, payload), transport.ErrPeerGone)
}

// announcer connects properly and then announces messages larger than can be.
func announcer(e *env, _ string) {
	ctx := context.Background()
	for _, total := range []uint64{1 << 63, ^uint64(0), transport.DefaultMaxMessageSize + 1} {
		l := e.dialLink()
		// The first fragment of a message, of four bytes.
		must(l.WriteFrame(ctx, binary.LittleEndian.AppendUint64([]byte{4, 0, 0, 1 << 6}, total), []byte("four")))
		<-l.Gone().Done()
		must(l.Close())
	}
	say("done")
	hear()
}

// dialLink connects to write frames by hand.
func (e *env) dialLink() link.Link {
	carrier, err := rendezvous.System()
	must(err)
	out, err := carrier.Dial(context.Background(), e.endpoint, goodHello, rendezvous.Options{Dir: e.dir, Attested: e.config().Attested})
	must(err)
	l, err := out.Link()
	must(err)
	return l
}

// slowSender sends a message of four fragments, each 2 seconds after the one before, and
// then ends.
func slowSender(e *env, _ string) {
	ctx, l := context.Background(), e.dialLink()
	must(l.WriteFrame(ctx, binary.LittleEndian.AppendUint64([]byte{1, 0, 0, 1 << 6}, 4), []byte("a")))
	say("begun")
	hear()
	for _, fragment := range []string{"b", "c", "d"} {
		time.Sleep(2 * time.Second)
		must(l.WriteFrame(ctx, []byte{1, 0, 0, 2 << 6}, []byte(fragment)))
	}
	must(l.CloseWrite(ctx))
	hear()
}

// A message that takes longer than 5 seconds to arrive, but never pauses for as long, is
// handled in Shutdown.
func testSlowMessage(t *testing.T, e *env) {
	handled := make(chan string, 1)
	h := serve(t, e.Bytes, service(func(_ context.Context, m transport.Message[[]byte]) { handled <- string(m.Body) }), e.config())
	p := e.start(t, "slow sender", "")
	p.expect(t, "begun")
	p.tell(t, "go on")
	require.NoError(t, h.Shutdown(context30(t)))
	assert.Equal(t, "abcd", await(t, handled))
}

// A peer that announces 2^63 bytes gets an error, not memory.
func testAnnouncesTooMuch(t *testing.T, e *env) {
	failures := make(chan error, 10)
	host(t, e.Bytes, func(context.Context, transport.Message[[]byte]) {}, e.config(func(c *transport.Config) {
		c.OnError = func(err error) { failures <- err }
	}))
	before := heap()
	p := e.start(t, "announcer", "")
	for range 3 {
		require.ErrorIs(t, await(t, failures), transport.ErrProtocol)
	}
	p.expect(t, "done")
	assert.Less(t, heap(), before+4<<20)
}

// passer connects, says something, and passes its connection on to another
// process.
func passer(e *env, _ string) {
	fd := dialRaw(e)
	must(unix.Send(fd, setupBytes(2, 0, goodHello), 0))
	_, err := unix.Read(fd, make([]byte, 2000))
	must(err)
	must(unix.Send(fd, append([]byte{0, 3, 0, 0, 0}, "own"...), 0))
	self, err := os.Executable()
	must(err)
	other := exec.Command(self)
	other.Env = append(os.Environ(), roleVariable+"=heir")
	other.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "passed on")}
	must(other.Run())
	say("passed on")
	hear()
}

// heir sends on a connection that another process has made, as descriptor 3.
func heir(*env, string) { must(unix.Send(3, append([]byte{0, 6, 0, 0, 0}, "stolen"...), 0)) }

// Attested connections end when another process sends on them.
func testPassedOn(t *testing.T, e *env) {
	failures, got := make(chan error, 10), make(chan string, 10)
	host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) { got <- string(m.Body) }, e.config(func(c *transport.Config) {
		c.OnError = func(err error) { failures <- err }
	}))
	p := e.start(t, "passer", "")
	require.ErrorIs(t, await(t, failures), transport.ErrPeerChanged)
	p.expect(t, "passed on")
	assert.Equal(t, "own", await(t, got))
	assert.Empty(t, got)
}

// A stream socket in the endpoint's place is no endpoint.
func testPlainSocket(t *testing.T, e *env) {
	require.NoError(t, os.Mkdir(e.dir, 0o700))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	t.Chdir(e.dir)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: e.endpoint + ".sock"}))
	require.NoError(t, unix.Listen(fd, 1))
	_, err = e.Dial(context30(t), e.endpoint, e.config())
	require.ErrorIs(t, err, transport.ErrNotEndpoint)
	_, err = e.Listen(e.endpoint, e.config())
	require.ErrorIs(t, err, transport.ErrEndpointInUse)

	require.NoError(t, os.Remove(socketPath(e)))
	require.NoError(t, os.WriteFile(socketPath(e), []byte("not a socket"), 0o600))
	_, err = e.Dial(context30(t), e.endpoint, e.config())
	require.ErrorIs(t, err, transport.ErrNotEndpoint)
	_, err = e.Listen(e.endpoint, e.config())
	require.ErrorIs(t, err, transport.ErrNotEndpoint)
	assert.FileExists(t, socketPath(e))
}
