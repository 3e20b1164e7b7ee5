package transporttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/transport"
)

func init() { parts["host without memory files"] = noMemoryHost }

// noMemoryHost answers with what carries the message. Told to, it says how many clients
// have no shared memory, how often it has logged why, and whether the reason was right.
func noMemoryHost(e *env, _ string) {
	var limit unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	limit.Cur = 1024
	must(unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	book := &logBook{}
	h, err := e.Strings.NewHost(e.endpoint, service(func(ctx context.Context, m transport.Message[string]) {
		_ = m.Reply(ctx, m.Session.Stats().Carrier)
	}), e.config(func(c *transport.Config) { c.Logger = slog.New(book) }))
	must(err)
	say("ready")
	for {
		hear()
		times, right := 0, true
		book.mu.Lock()
		for _, r := range book.records {
			if r.Message != noMemoryMessage {
				continue
			}
			times++
			r.Attrs(func(a slog.Attr) bool {
				if err, ok := a.Value.Any().(error); ok {
					right = right && errors.Is(err, unix.EFBIG)
				}
				return true
			})
		}
		book.mu.Unlock()
		say("fallbacks %d logged %d right %v", h.Stats().Fallbacks, times, right)
	}
}

const noMemoryMessage = "cannot create memory files: clients get a Unix socket, which is slower; check RLIMIT_FSIZE and the seccomp profile"

// A host that cannot make memory files serves its clients by the socket, says so once, and
// counts them. Both sides see what carries their messages.
func testNoMemoryFiles(t *testing.T, e *env) {
	h := e.start(t, "host without memory files", "")
	h.expect(t, "ready")
	ctx := context30(t)
	for i := range 3 {
		c := client(t, e.Strings, e.config())
		require.NoError(t, c.Send(ctx, "what carries this?"))
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, "socket", got)
		assert.Equal(t, "socket", c.Stats().Carrier)
		h.tell(t, "and?")
		h.expect(t, fmt.Sprintf("fallbacks %d logged 1 right true", i+1))
	}
}
