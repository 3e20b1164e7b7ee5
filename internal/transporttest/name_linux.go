package transporttest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/transport"
)

func init() { parts["listener beside"] = listenerBeside }

// listenerBeside listens on a socket of its own in the endpoint's directory.
func listenerBeside(e *env, name string) {
	must(os.Chdir(e.dir))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
	must(unix.Listen(fd, 10))
	say("ready")
	hear()
}

// A host whose socket is removed says so and serves on; one that cannot take its name again
// says why, and goes on trying. One whose name another process has says who, and ends, but
// its connections do not.
func testLostName(t *testing.T, e *env) {
	log := logBook{}
	failures := make(chan error, 8)
	h := host(t, e.Strings, func(ctx context.Context, m transport.Message[string]) {
		assert.NoError(t, m.Reply(ctx, m.Body))
	}, e.config(func(c *transport.Config) {
		c.Logger, c.NoInProcess = slog.New(&log), true
		c.OnError = func(err error) { failures <- err }
	}))
	outside := e.config(func(c *transport.Config) { c.NoInProcess = true })
	ctx := context30(t)
	talk := func(c *transport.Client[string], word string) {
		t.Helper()
		require.NoError(t, c.Send(ctx, word))
		got, err := c.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, word, got)
	}
	lost := func() *transport.EndpointError {
		t.Helper()
		lost, ok := (await(t, failures)).(*transport.EndpointError)
		require.True(t, ok)
		require.Equal(t, e.endpoint, lost.Endpoint)
		return lost
	}
	first := client(t, e.Strings, outside)
	talk(first, "before")

	place := filepath.Join(e.dir, e.endpoint+".sock")
	require.NoError(t, os.Remove(place))
	removed := lost()
	assert.True(t, removed.Served)
	assert.False(t, removed.Ended)
	assert.NotErrorIs(t, removed, transport.ErrEndpointInUse)
	assert.Contains(t, removed.Error(), place)
	talk(first, "after")
	second := client(t, e.Strings, outside)
	talk(second, "new")

	away := e.dir + ".away"
	require.NoError(t, os.WriteFile(away, nil, 0o600))
	defer os.Remove(away)
	exchange := func() {
		t.Helper()
		require.NoError(t, unix.Renameat2(unix.AT_FDCWD, e.dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE))
	}
	exchange()
	unserved := lost()
	exchange()
	assert.False(t, unserved.Served)
	assert.False(t, unserved.Ended)
	assert.ErrorIs(t, unserved, transport.ErrUnsafeDir)
	assert.True(t, lost().Served)
	talk(second, "served again")

	p := e.start(t, "listener beside", e.endpoint+".beside")
	p.expect(t, "ready")
	require.NoError(t, os.Rename(filepath.Join(e.dir, e.endpoint+".beside"), place))
	taken := lost()
	assert.True(t, taken.Ended)
	assert.False(t, taken.Served)
	assert.ErrorIs(t, taken, transport.ErrEndpointInUse)
	assert.Contains(t, taken.Error(), fmt.Sprintf("process %d ", p.cmd.Process.Pid))
	talk(first, "goes on")
	talk(second, "goes on")
	assert.True(t, log.has("endpoint's files were removed or replaced; recreated", place), log.all())
	assert.True(t, log.has("endpoint not served until its files can be made again", e.dir), log.all())
	assert.True(t, log.has("endpoint lost to another process; this host accepts no more clients", place), log.all())
	require.NoError(t, h.Close())
	require.FileExists(t, place, "it is the other's")
}
