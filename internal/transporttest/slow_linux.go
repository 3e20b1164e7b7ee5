package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/transport"
)

func init() {
	parts["slow clients"] = slowClients
	parts["slow host"] = slowHost
}

// refusing reports whether the kernel has sockets that refuse descriptors (Linux 6.16).
func refusing() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(err)
	_, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	must(unix.Close(fd))
	return err == nil
}

// slowAttempts is how many clients send a descriptor that takes long to close: more than
// a host has threads for.
const slowAttempts = 50

// slowReports is how many of them the host reports one by one. A report comes when the
// host is done with the client.
const slowReports = 8

// slowClients send a descriptor that takes an hour to close with the hello, or after the
// answer, and say how many of them the kernel has refused.
func slowClients(e *env, when string) {
	refused := 0
	for range slowAttempts {
		s, err := linktest.NewSlow()
		must(err)
		fd := dialRaw(e)
		data := e.inMode(setupBytes(0, 0, goodHello))
		if when == "after the answer" {
			must(unix.Send(fd, data, 0))
			_, err = unix.Read(fd, make([]byte, 2000))
			must(err)
			data = []byte{0}
		}
		err = unix.Sendmsg(fd, data, unix.UnixRights(s.FD), nil, 0)
		if err == unix.EPERM {
			refused++
			err = errors.Join(s.End(), unix.Close(fd))
		}
		must(errors.Join(err, s.Sent()))
	}
	say("refused %d", refused)
	hear()
}

// slowHost serves the endpoint by a socket of its own, or by one that systemd would have
// made before. It says how many threads it has more than it had, and which errors it has
// reported.
func slowHost(e *env, how string) {
	if how == "adopted" {
		must(os.Mkdir(e.dir, 0o700))
		must(os.Chdir(e.dir))
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		must(err)
		must(unix.Bind(fd, &unix.SockaddrUnix{Name: e.endpoint + ".sock"}))
		must(unix.Listen(fd, 2*slowAttempts))
		const first = 3 // SD_LISTEN_FDS_START
		must(os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())))
		must(os.Setenv("LISTEN_FDS", strconv.Itoa(fd-first+1)))
		must(os.Setenv("LISTEN_FDNAMES", strings.Repeat("other:", fd-first)+e.endpoint))
		say("listening")
		hear()
	}
	before := threads()
	report := make(chan error, 10*slowAttempts)
	h, err := e.Bytes.NewHost(e.endpoint, service(func(_ context.Context, m transport.Message[[]byte]) {
		must(m.Reply(context.Background(), m.Body))
	}), e.config(func(c *transport.Config) { c.OnError = func(err error) { report <- err } }))
	must(err)
	say("serving")
	end := hear()
	for ; end == "report"; end = hear() {
		wrong := 0
		for range slowReports {
			if err := <-report; !errors.Is(err, transport.ErrProtocol) {
				wrong++
			}
		}
		say("threads %d, errors %d", max(0, threads()-before-fewThreads), wrong)
	}
	if end == "shutdown" {
		must(h.Shutdown(context.Background()))
	}
	must(h.Close())
	say("closed")
	hear()
}

// fewThreads is how many a host may need for such descriptors, with those that the runtime
// starts beside.
const fewThreads = 20

// threads is how many this process has.
func threads() int {
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	_, after, _ := bytes.Cut(status, []byte("\nThreads:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	must(err)
	return n
}

// Clients that send a descriptor which takes long to close delay neither others nor the
// host's end, and hold neither threads nor places. The kernel refuses their descriptors,
// or the host drops them: those that came before systemd's socket was adopted, and all of
// them before Linux 6.16.
func testSlowDescriptors(t *testing.T, e *env) {
	byKernel := 0
	if refusing() {
		byKernel = slowAttempts
	}
	for _, row := range []struct {
		host, client string
		refused      int // by the kernel
		end          string
	}{
		{"own", "with the hello", byKernel, "close"},
		{"own", "after the answer", byKernel, "shutdown"},
		{"adopted", "with the hello", 0, "shutdown"},
	} {
		t.Run(row.host+" "+row.client, func(t *testing.T) {
			alone(t) // so many descriptors are in flight
			e := newEnv(t, e.Layer, e.variant)
			p := e.start(t, "slow host", row.host)
			attack := func() {
				e.start(t, "slow clients", row.client).expect(t, fmt.Sprintf("refused %d", row.refused))
			}
			before := row.host == "adopted" && row.client == "with the hello"
			if row.host == "adopted" {
				p.expect(t, "listening")
				if before {
					attack()
				}
				p.tell(t, "adopt")
			}
			p.expect(t, "serving")
			if !before {
				attack()
			}
			c, ctx := client(t, e.Bytes, e.config()), context30(t)
			require.NoError(t, c.Send(ctx, []byte("served")))
			b, err := c.Receive(ctx)
			require.NoError(t, err)
			assert.Equal(t, "served", string(b))
			if row.refused == 0 {
				p.tell(t, "report")
				p.expect(t, "threads 0, errors 0")
			}
			p.tell(t, row.end)
			p.expect(t, "closed")
		})
	}
}
