package transporttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

func init() {
	parts["exhausted host"] = exhaustedHost
	parts["host that is exhausted later"] = exhaustedLater
	parts["exhausted client"] = exhaustedClient
	parts["exhausted inside"] = exhaustedInside
	parts["host with a low limit"] = lowLimitHost
	parts["host with descriptors in flight"] = inFlightHost
}

// fewDescriptors lowers the limit of the process's descriptors. It returns what sets it
// as before: it counts for the descriptors that the user's processes have sent to each
// other and not received, too.
func fewDescriptors() (restore func()) {
	var before unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: before.Max}))
	return func() { must(unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }
}

// spare opens descriptors until the process's limit, which it lowers, leaves so many.
// It returns what closes them and restores the limit.
func spare(n int) (free func()) {
	restore := fewDescriptors()
	var fillers []int
	// Until none has come back for a while: what else runs in this process may have had one
	// for a moment.
	for quiet := 0; quiet < 10; {
		fd, err := unix.Dup(0)
		if err != nil {
			quiet++
			time.Sleep(time.Millisecond)
			continue
		}
		quiet = 0
		unix.CloseOnExec(fd)
		fillers = append(fillers, fd)
	}
	for range n {
		must(unix.Close(fillers[len(fillers)-1]))
		fillers = fillers[:len(fillers)-1]
	}
	return func() {
		for _, fd := range fillers {
			must(unix.Close(fd))
		}
		restore()
	}
}

// refusedClients is how many clients come to a host without descriptors.
const refusedClients = 3

// exhaustedHost has so many descriptors left for its clients, until it is told to
// close what takes the others. It says how its errors answer.
func exhaustedHost(e *env, argument string) {
	n, err := strconv.Atoi(argument)
	must(err)
	report := make(chan error, 100)
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config(func(c *transport.Config) { c.OnError = func(err error) { report <- err } }))
	must(err)
	free := spare(n)
	say("ready")
	for range refusedClients {
		err = <-report // all of the client is closed
		say("report %v %v", errors.Is(err, transport.ErrExhausted) && errors.Is(err, syscall.EMFILE), errors.Is(err, peer.ErrRefused))
	}
	hear()
	free()
	say("free")
	hear()
	must(h.Close())
}

// A host that has run out of descriptors says so to each client, at whatever step
// it needs the one that it does not have, and to its application; and it serves
// the first client that comes when it has descriptors again.
func testExhaustedHost(t *testing.T, e *env) {
	steps := 4
	if e.config().Attested {
		steps = 3 // it needs no memory file
	}
	for n := range steps {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			alone(t)
			e := newEnv(t, e.Layer, e.variant)
			p := e.start(t, "exhausted host", strconv.Itoa(n))
			p.expect(t, "ready")
			for range refusedClients {
				_, err := e.Bytes.NewClient(context30(t), e.endpoint, nil, e.config())
				require.ErrorIs(t, err, transport.ErrExhausted)
				require.NotErrorIs(t, err, peer.ErrRefused)
				// A client that comes before could use the descriptor in reserve, which
				// the one before has given back.
				p.expect(t, "report true false")
			}
			p.tell(t, "free")
			p.expect(t, "free")
			c := client(t, e.Bytes, e.config())
			require.NoError(t, c.Send(context30(t), []byte("served")))
			b, err := c.Receive(context30(t))
			require.NoError(t, err)
			require.Equal(t, "served", string(b))
		})
	}
}

// exhaustedLater has no descriptors left when its client is connected.
func exhaustedLater(e *env, _ string) {
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config())
	must(err)
	say("ready")
	hear()
	free := spare(0)
	say("exhausted")
	hear()
	free()
	must(h.Close())
}

// A host without descriptors goes on with the clients that it has.
func testExhaustedLater(t *testing.T, e *env) {
	p := e.start(t, "host that is exhausted later", "")
	p.expect(t, "ready")
	c, ctx := client(t, e.Bytes, e.config()), context30(t)
	for _, when := range []string{"before", "meanwhile", "still"} {
		require.NoError(t, c.Send(ctx, []byte(when)))
		b, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, when, string(b))
		if when == "before" {
			p.tell(t, "use them up")
			p.expect(t, "exhausted")
		}
	}
}

// exhaustedClient connects with 0, 1, 2 … descriptors left, until that succeeds, and
// says how its errors answer.
func exhaustedClient(e *env, _ string) {
	// Go's runtime makes its poller with the first pipe or socket, and ends the
	// process if it can't.
	r, w, err := os.Pipe()
	must(err)
	must(r.Close())
	must(w.Close())
	for n := range 20 {
		free := spare(n)
		c, err := e.Dial(context.Background(), e.endpoint, e.config())
		free()
		if err == nil {
			must(c.Close())
			say("connected %d", n)
			hear()
			return
		}
		if !errors.Is(err, transport.ErrExhausted) || !errors.Is(err, syscall.EMFILE) || errors.Is(err, peer.ErrRefused) {
			say("with %d: %v", n, err)
			os.Exit(1)
		}
	}
}

// A client that has run out of descriptors says so, at whatever step.
func testExhaustedClient(t *testing.T, e *env) {
	l, err := e.Listen(e.endpoint, e.config())
	require.NoError(t, err)
	defer l.Close()
	p := e.start(t, "exhausted client", "")
	n, err := strconv.Atoi(p.expect(t, "connected"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, 3, "the directory, the socket, the host's pidfd")
}

// exhaustedInside is a host and a client in one process without descriptors.
func exhaustedInside(e *env, _ string) {
	inside := e.config(func(c *transport.Config) { c.NoInProcess, c.Attested = false, false })
	h, err := e.Bytes.NewHost(e.endpoint, service(func(context.Context, transport.Message[[]byte]) {}), inside)
	must(err)
	free := spare(0)
	_, err = e.Bytes.NewClient(context.Background(), e.endpoint, nil, inside)
	say("inside %v %v", errors.Is(err, transport.ErrExhausted) && errors.Is(err, syscall.EMFILE), errors.Is(err, peer.ErrRefused))
	free()
	must(h.Close())
}

// A client of the host's own process hears what that process is out of.
func testExhaustedInside(t *testing.T, e *env) {
	if e.Secure { // which is connected by the kernel
		return
	}
	e.start(t, "exhausted inside", "").expect(t, "inside true false")
}

// inFlightHost may send no descriptor, until it is told to go on: too many that its user
// has sent were not received.
func inFlightHost(e *env, argument string) {
	if argument == "" {
		// These exempt a process from the limit.
		runtime.LockOSThread()
		for _, capability := range []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != unix.EPERM { // an ordinary user has none
				must(err)
			}
		}
		must(os.Setenv(argumentVariable, "without"))
		must(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	report := make(chan error, 100)
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config(func(c *transport.Config) { c.OnError = func(err error) { report <- err } }))
	must(err)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Sendmsg(pair[0], []byte("never received"), unix.UnixRights(make([]int, 100)...), nil, 0))
	restore := fewDescriptors()
	say("ready")
	hear()
	must(unix.Close(pair[1]))
	restore()
	err = <-report
	say("free %v", errors.Is(err, transport.ErrExhausted) && errors.Is(err, syscall.ETOOMANYREFS))
	hear()
	must(h.Close())
}

// A host that can't send its memory to a client says why.
func testInFlight(t *testing.T, e *env) {
	if e.config().Attested {
		return // there is no memory to send
	}
	alone(t)
	p := e.start(t, "host with descriptors in flight", "")
	p.expect(t, "ready")
	_, err := e.Bytes.NewClient(context30(t), e.endpoint, nil, e.config())
	require.ErrorIs(t, err, transport.ErrExhausted)
	require.NotErrorIs(t, err, peer.ErrRefused)
	p.tell(t, "go on")
	p.expect(t, "free true")
	c := client(t, e.Bytes, e.config())
	require.NoError(t, c.Send(context30(t), []byte("served")))
	b, err := c.Receive(context30(t))
	require.NoError(t, err)
	require.Equal(t, "served", string(b))
}

// lowLimitHost says how often it is warned that it may not have as many descriptors as
// its clients need.
func lowLimitHost(e *env, clients string) {
	n, err := strconv.Atoi(clients)
	must(err)
	defer fewDescriptors()()
	log := logBook{arrived: make(chan slog.Record, 100)}
	h, err := e.Bytes.NewHost(e.endpoint, service(func(context.Context, transport.Message[[]byte]) {}), e.config(func(c *transport.Config) {
		c.MaxConnections, c.Logger = n, slog.New(&log)
	}))
	must(err)
	must(h.Close())
	warnings := 0
	for len(log.arrived) > 0 {
		r := <-log.arrived
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "needed" && a.Value.Uint64() > 64 && r.Level == slog.LevelWarn {
				warnings++
			}
			return true
		})
	}
	say("warned %d times", warnings)
}

// A host that can't serve MaxConnections clients says so at once.
func testLowLimit(t *testing.T, e *env) {
	e.start(t, "host with a low limit", "8").expect(t, "warned 0 times")
	e.start(t, "host with a low limit", "9").expect(t, "warned 1 times")
}

// alone keeps tests of other processes away that use up what all processes of a user
// have together.
func alone(t *testing.T) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("sealport-test-%d.lock", os.Getuid())), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
}
