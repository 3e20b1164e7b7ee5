package transporttest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

func init() {
	parts["flooder"] = flooder
	parts["silent crowd"] = silentCrowd
	parts["flooded host with a low limit"] = lowFloodedHost
}

const (
	// floodUser is another user, whom the policy refuses.
	floodUser = 12_345

	// floodSockets is how many sockets a flooder holds at a time: more than a host lets
	// one user have that are not connections.
	floodSockets = 1500

	// honest is how many clients have to get in meanwhile.
	honest = 5
)

// flooder connects as fast as it can, until the test ends, in two threads. It holds the
// last floodSockets of its sockets, whether the host has closed them or not. It is silent,
// or says the hello that it is told.
func flooder(e *env, how string) {
	hello := e.inMode(setupBytes(0, 0, goodHello))
	begin := int64(floodSockets + 1)
	if how == "hello" {
		begin = floodSockets / 5 // the backlog is full of those that have to be answered
	}
	var opened atomic.Int64
	for range 2 {
		go func() {
			held := make([]int, floodSockets/2)
			for i := 0; ; i = (i + 1) % len(held) {
				if held[i] != 0 {
					must(unix.Close(held[i]))
				}
				held[i] = dialRaw(e)
				if how == "hello" {
					_ = unix.Send(held[i], hello, unix.MSG_NOSIGNAL)
				}
				if opened.Add(1) == begin {
					say("flooding")
				}
			}
		}()
	}
	hear()
}

// silentCrowd is many clients, more than a host with few descriptors can have, that say
// nothing and stay.
func silentCrowd(e *env, _ string) {
	for range 200 {
		dialRaw(e)
	}
	say("connected")
	hear()
}

// startAs is start for a process of another user.
func (e *env) startAs(t *testing.T, uid uint32, role, argument string) *process {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	program := filepath.Join(filepath.Dir(e.dir), "test")
	require.NoError(t, os.WriteFile(program, self, 0o755))
	return e.startProgram(t, program, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}, role, argument)
}

// shared is a directory that other users can enter, for the endpoints of e.
func (e *env) shared(t *testing.T) {
	dir, err := os.MkdirTemp("", "sealport-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	e.dir = filepath.Join(dir, "endpoints")
}

// While another user, whom the policy refuses, connects as fast as it can, each client
// gets in, connections go on, the host holds few descriptors for the others, and it
// reports few of them.
func testFlood(t *testing.T, e *env) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start processes of another user")
	}
	for how, descriptors := range map[string]int{"silent": 1024, "hello": 2 * 1024} {
		t.Run(how, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			e.shared(t)
			before := len(leaktest.Descriptors())
			var reports atomic.Int64
			h := host(t, e.Bytes, func(_ context.Context, m transport.Message[[]byte]) {
				assert.NoError(t, m.Reply(context.Background(), m.Body))
			}, e.config(func(c *transport.Config) {
				c.Shared, c.Peer, c.MaxConnections = true, peer.UIDs(0), 100
				c.OnError = func(error) { reports.Add(1) }
			}))
			c, ctx := client(t, e.Bytes, e.config()), context30(t)
			begin := time.Now()
			e.startAs(t, floodUser, "flooder", how).expect(t, "flooding")
			var took []time.Duration
			most := 0
			for range honest {
				dialled := time.Now()
				other, err := e.Dial(ctx, e.endpoint, e.config())
				require.NoError(t, err)
				took = append(took, time.Since(dialled))
				require.NoError(t, other.Close())
				require.NoError(t, c.Send(ctx, []byte("x")))
				_, err = c.Receive(ctx)
				require.NoError(t, err)
				most = max(most, len(leaktest.Descriptors())-before)
			}
			slices.Sort(took)
			refused := h.Stats().Refused
			t.Logf("clients got in after %v (median), %v (longest), with %d descriptors of the host, %d refused, %d reports",
				took[len(took)/2], took[len(took)-1], most, refused, reports.Load())
			assert.Less(t, most, descriptors+300, "those of 1,024 clients, and what a few need while they are refused")
			assert.Positive(t, refused, "else this test shows nothing")
			assert.LessOrEqual(t, reports.Load(), 8+int64(time.Since(begin)/(10*time.Second)))
		})
	}
}

// lowFloodedHost has few descriptors, before it serves or after, as it is told.
func lowFloodedHost(e *env, when string) {
	restore := func() {}
	if when == "before" {
		restore = fewDescriptors()
	}
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config(func(c *transport.Config) {
		c.Shared, c.Peer, c.MaxConnections = true, peer.UIDs(0), 5
	}))
	must(err)
	if when != "before" {
		restore = fewDescriptors()
	}
	say("ready")
	hear()
	restore()
	must(h.Close())
}

// Silent clients do not keep others out of a host that has few descriptors, whether it has
// known that when it began to serve or not.
func testFloodOfDescriptors(t *testing.T, e *env) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start processes of another user")
	}
	if e.config().Attested {
		return // what is accepted has no carrier yet
	}
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			e.shared(t)
			e.start(t, "flooded host with a low limit", when).expect(t, "ready")
			c, ctx := client(t, e.Bytes, e.config()), context30(t)
			e.startAs(t, floodUser, "silent crowd", "").expect(t, "connected")
			for range 3 {
				other, err := e.Dial(ctx, e.endpoint, e.config())
				for when == "after" && errors.Is(err, transport.ErrExhausted) {
					other, err = e.Dial(ctx, e.endpoint, e.config())
				}
				require.NoError(t, err)
				require.NoError(t, other.Close())
				require.NoError(t, c.Send(ctx, []byte("x")))
				_, err = c.Receive(ctx)
				require.NoError(t, err)
			}
		})
	}
}
