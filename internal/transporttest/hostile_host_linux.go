package transporttest

import (
	"cmp"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/transport"
)

const ringSize = 64 << 10

// answers are what a hostile host says to a client's hello, and with which
// descriptor: nil for none. A value with good is the answer of a proper host.
var answers = map[string]struct {
	data func() []byte
	file func() int
	want error // nil: ErrProtocol
}{
	"another version":       {data: func() []byte { return setupBytes(0, 0, helloBytes(77, 0, 0, 1)) }, want: transport.ErrVersion},
	"another mode":          {data: func() []byte { return setupBytes(0, 0, helloBytes(1, 200, 0, 1)) }, want: transport.ErrMode},
	"refused":               {data: func() []byte { return setupBytes(0, 0, helloBytes(1, 0, 1, 1)) }, want: transport.ErrRefused},
	"busy":                  {data: func() []byte { return setupBytes(0, 0, helloBytes(1, 0, 2, 1)) }, want: transport.ErrBusy},
	"garbage":               {data: func() []byte { return []byte("220 mail.example.org ESMTP") }},
	"one byte":              {data: func() []byte { return []byte{1} }},
	"not a hello":           {data: func() []byte { return setupBytes(2, 0, []byte("hello, I am a host like any")) }},
	"no hello":              {data: func() []byte { return setupBytes(2, 0, nil) }},
	"no such carrier":       {data: func() []byte { return setupBytes(3, 0, goodHello) }},
	"too long":              {data: func() []byte { return make([]byte, 5000) }},
	"no carrier, accepted":  {data: func() []byte { return setupBytes(0, 0, goodHello) }},
	"no such status":        {data: func() []byte { return setupBytes(0, 0, helloBytes(1, 0, 99, 1)) }},
	"ring without memory":   {data: ringAnswer(ringSize)},
	"socket with memory":    {data: func() []byte { return setupBytes(2, 0, goodHello) }, file: memory(ringSize, true)},
	"unsealed memory":       {data: ringAnswer(ringSize), file: memory(ringSize, false)},
	"less memory than said": {data: ringAnswer(2 * ringSize), file: memory(ringSize, true)},
	"more memory than said": {data: ringAnswer(ringSize), file: memory(2*ringSize, true)},
	"size of no ring":       {data: ringAnswer(12345), file: memory(12345, true)},
	"size zero":             {data: ringAnswer(0), file: memory(0, true)},
	"largest size":          {data: ringAnswer(1<<32 - 1), file: memory(ringSize, true)},
	"regular file":          {data: ringAnswer(ringSize), file: regular},
	"a pipe":                {data: ringAnswer(ringSize), file: pipe},
	"write-sealed memory":   {data: ringAnswer(ringSize), file: readOnly},
	"slow to close":         {data: ringAnswer(ringSize), file: slowToClose},
	"counts slow to close":  {data: func() []byte { return setupBytes(2, 0, goodHello) }, file: slowToClose},
	"two descriptors":       {data: ringAnswer(ringSize), file: func() int { return -2 }},
	"eight descriptors":     {data: ringAnswer(ringSize), file: func() int { return -8 }},
}

func ringAnswer(size uint32) func() []byte {
	return func() []byte { return setupBytes(1, size, goodHello) }
}

const allSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

func memory(size int, sealed bool) func() int {
	return func() int {
		fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		must(err)
		must(unix.Ftruncate(fd, int64(4096+2*size)))
		if sealed {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals)
			must(err)
		}
		return fd
	}
}

func readOnly() int {
	fd := memory(ringSize, false)()
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals|unix.F_SEAL_WRITE)
	must(err)
	return fd
}

func regular() int {
	f, err := os.CreateTemp("", "sealport-test-")
	must(err)
	must(os.Remove(f.Name()))
	must(f.Truncate(4096 + 2*ringSize))
	fd, err := unix.Dup(int(f.Fd()))
	must(err)
	must(f.Close())
	return fd
}

func pipe() int {
	var p [2]int
	must(unix.Pipe2(p[:], unix.O_CLOEXEC))
	must(unix.Close(p[1]))
	return p[0]
}

func slowToClose() int {
	s, err := linktest.NewSlow()
	must(err)
	return s.FD
}

// hostileHost listens in an endpoint's place and gives each client the answer
// that it is told, or none.
func hostileHost(e *env, how string) {
	must(os.Mkdir(e.dir, 0o700))
	must(os.Chdir(e.dir))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Bind(fd, &unix.SockaddrUnix{Name: e.endpoint + ".sock"}))
	must(unix.Listen(fd, 10))
	say("ready")
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		must(err)
		_, _ = unix.Read(c, make([]byte, 5000))
		switch how {
		case "silence":
			continue // and keep it open
		case "hangs up":
			must(unix.Close(c))
			continue
		}
		a, ok := answers[how]
		if !ok {
			say("failed: no answer %q", how)
			return
		}
		var oob []byte
		file := -1
		if a.file != nil {
			if file = a.file(); file < -1 {
				oob = rights(-file)
			} else {
				oob = unix.UnixRights(file)
			}
		}
		go func() {
			_ = unix.Sendmsg(c, e.inMode(a.data()), oob, nil, unix.MSG_NOSIGNAL)
			if file >= 0 {
				_ = unix.Close(file) // which takes long if the client was faster
			}
		}()
		_, _ = unix.Read(c, make([]byte, 5000)) // until it hangs up
		must(unix.Close(c))
	}
}

// Whatever a host answers, the client gets an error that it can tell, keeps no
// descriptor and no memory, and lives.
func testHostileHosts(t *testing.T, e *env) {
	before := leaktest.Descriptors()
	for how, answer := range answers {
		t.Run(how, func(t *testing.T) {
			e := newEnv(t, e.Layer, e.variant)
			p := e.start(t, "hostile host", how)
			p.expect(t, "ready")
			for range 2 {
				_, err := e.Dial(context30(t), e.endpoint, e.config())
				require.ErrorIs(t, err, cmp.Or(answer.want, transport.ErrProtocol), "%v", err)
			}
			p.kill(t)
			assert.Empty(t, leaktest.Mappings())
		})
	}
	t.Run("hangs up", func(t *testing.T) {
		e := newEnv(t, e.Layer, e.variant)
		p := e.start(t, "hostile host", "hangs up")
		p.expect(t, "ready")
		_, err := e.Dial(context30(t), e.endpoint, e.config())
		require.ErrorIs(t, err, transport.ErrPeerGone)
		p.kill(t)
		_, err = e.Dial(context30(t), e.endpoint, e.config())
		require.ErrorIs(t, err, transport.ErrNoHost)
	})
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		assert.Empty(t, leaktest.More(before, leaktest.Descriptors()))
	}, limit, tick)
}

// A client does not wait for a host longer than it says, or than its context.
func testSilentHost(t *testing.T, e *env) {
	p := e.start(t, "hostile host", "silence")
	p.expect(t, "ready")
	_, err := e.Dial(context30(t), e.endpoint, e.config(func(c *transport.Config) { c.HandshakeTimeout = 50 * time.Millisecond }))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel := context.WithCancel(context30(t))
	waiting := make(chan error)
	go func() {
		_, err := e.Dial(ctx, e.endpoint, e.config())
		waiting <- err
	}()
	cancel()
	require.ErrorIs(t, await(t, waiting), context.Canceled)
}
