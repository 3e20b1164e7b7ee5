package transporttest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// endTests are about what a client says of the end of its host.
var endTests = []test{
	{"GracefulEndIsAgreedOn", testAgreedEnd},
}

// endProcessTests are those with a host in another process.
var endProcessTests = []test{{"EndOfAProcessIsAgreedOn", testAgreedProcess}}

func init() { parts["ending"] = endingHost }

// newEnds returns a Logger for a client and what it logs of the ends of its connections.
func newEnds() (*slog.Logger, chan slog.Record) {
	records := make(chan slog.Record, 8)
	return slog.New(onRecord(func(r slog.Record) {
		if r.Message == "disconnected" {
			records <- r
		}
	})), records
}

// onRecord is a slog.Handler that calls itself.
type onRecord func(slog.Record)

func (onRecord) Enabled(context.Context, slog.Level) bool { return true }
func (f onRecord) WithAttrs([]slog.Attr) slog.Handler     { return f }
func (f onRecord) WithGroup(string) slog.Handler          { return f }
func (f onRecord) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}

// causeIn is the cause in a record.
func causeIn(r slog.Record) (cause error) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "cause" {
			cause, _ = a.Value.Any().(error)
		}
		return true
	})
	return cause
}

// requireEnd checks what a call says of the end of the host.
func requireEnd(t *testing.T, err, want error) {
	t.Helper()
	require.ErrorIs(t, err, transport.ErrDisconnected)
	require.ErrorIs(t, err, want)
	for _, other := range []error{io.EOF, transport.ErrPeerGone} {
		if other != want {
			require.NotErrorIs(t, err, other)
		}
	}
}

// What a client does when its host ends.
const (
	nothingYet = "nothing yet"
	between    = "between two requests"
	receiving  = "receiving"
	sending    = "sending"
)

// agree has a client do something while end ends its host, which echoes, and checks what it
// says of the end: its Logger, Send and Receive.
func agree(t *testing.T, e *env, doing string, want error, level slog.Level, end func(ctx context.Context)) {
	ctx := context30(t)
	logger, logged := newEnds()
	c := client(t, e.Bytes, e.config(func(c *transport.Config) { c.Logger = logger }))
	var held []byte // by the application, until its next Receive
	var err error
	join := func() {}
	message := bytes.Repeat([]byte("reply"), 1000)
	begun := make(chan struct{})
	switch doing {
	case between:
		require.NoError(t, c.Send(ctx, message))
		held, err = c.Receive(ctx)
		require.NoError(t, err)
	case receiving:
		join = meanwhile(func() {
			close(begun)
			_, err = c.Receive(ctx)
		})
		await(t, begun)
	case sending:
		join = meanwhile(func() {
			for err = c.Send(ctx, nil); err == nil; err = c.Send(ctx, nil) {
			}
		})
	}
	end(ctx)
	record := await(t, logged)
	require.ErrorIs(t, causeIn(record), want, doing)
	require.Equal(t, level, record.Level, text(record))
	join()
	if doing != receiving && doing != sending {
		err = c.Send(ctx, []byte("not sent"))
	}
	requireEnd(t, err, want)
	if doing != receiving {
		for err = nil; err == nil; {
			_, err = c.Receive(ctx)
		}
		requireEnd(t, err, want)
	}
	if doing == between {
		require.Equal(t, message, held, "it is the application's")
	}
	require.NoError(t, c.Close(), "it has been told")
	require.Empty(t, logged, "it is logged once")
}

// echo answers each message that is not empty.
func echo(ctx context.Context, m transport.Message[[]byte]) {
	if len(m.Body) > 0 {
		_ = m.Reply(ctx, m.Body)
	}
}

// A host that ends gracefully does so for its client too, whatever that does meanwhile.
func testAgreedEnd(t *testing.T, e *env) {
	for _, doing := range []string{nothingYet, between, receiving, sending} {
		t.Run(doing, func(t *testing.T) {
			for range 3 {
				e := newEnv(t, e.Layer, e.variant)
				h := host(t, e.Bytes, echo, e.config())
				agree(t, e, doing, io.EOF, slog.LevelInfo, func(ctx context.Context) { require.NoError(t, h.Shutdown(ctx)) })
				if doing == between || doing == sending {
					continue // Close may lose what the handler has not finished
				}
				h = host(t, e.Bytes, echo, e.config())
				agree(t, e, doing, io.EOF, slog.LevelInfo, func(context.Context) { require.NoError(t, h.Close()) })
			}
		})
	}
}

// endingHost ends its process as soon as it has shut down.
func endingHost(e *env, _ string) {
	h, err := e.Bytes.NewHost(e.endpoint, service(echo), e.config())
	must(err)
	say("ready")
	hear()
	must(h.Shutdown(context.Background()))
	os.Exit(0)
}

// The same of a process that ends at once. The death of one is told from that.
func testAgreedProcess(t *testing.T, e *env) {
	for _, doing := range []string{nothingYet, between, receiving, sending} {
		t.Run(doing, func(t *testing.T) {
			p := e.start(t, "ending", "")
			p.expect(t, "ready")
			agree(t, e, doing, io.EOF, slog.LevelInfo, func(context.Context) { p.tell(t, "end") })
			p = e.start(t, "ending", "")
			p.expect(t, "ready")
			agree(t, e, doing, transport.ErrPeerGone, slog.LevelWarn, func(context.Context) { p.kill(t) })
		})
	}
}
