package transporttest

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

func init() { parts["host with little room"] = hostWithLittleRoom }

// hostWithLittleRoom serves with the lowest limit of descriptors with which a host starts.
func hostWithLittleRoom(e *env, _ string) {
	r, w, err := os.Pipe() // the runtime cannot do without its poller
	must(err)
	must(errors.Join(r.Close(), w.Close()))
	used, err := os.ReadDir("/proc/self/fd")
	must(err)
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	for limit.Cur = uint64(len(used)); ; limit.Cur++ {
		must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
		_, err := e.Bytes.NewHost(e.endpoint, service(echo), e.config())
		if err == nil {
			break
		}
		if !errors.Is(err, transport.ErrExhausted) {
			must(err)
		}
	}
	say("ready")
	hear()
}

// A host that has no descriptors for a client does not start. One that starts serves one.
func testLittleRoom(t *testing.T, e *env) {
	e.start(t, "host with little room", "").expect(t, "ready")
	ctx := context30(t)
	c := client(t, e.Bytes, e.config())
	require.NoError(t, c.Send(ctx, []byte("hello")))
	got, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}
