package secure_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// dialEither connects by one layer or the other.
func dialEither(t *testing.T, w *world, secured, attested bool) *transport.Conn {
	t.Helper()
	plain := &transport.Config{Dir: w.dir, Attested: attested}
	if !secured {
		c, err := transport.Dial(hung(t), endpoint, plain)
		require.NoError(t, err)
		return c
	}
	c, err := secure.Dial(hung(t), endpoint, clientConfig(plain))
	require.NoError(t, err)
	return c
}

// TestDumpOfSharedMemoryShowsNothing: while secrets pass between two processes, and
// after, the memory between them has none of them. That of a plain connection has,
// so the test would see them.
func TestDumpOfSharedMemoryShowsNothing(t *testing.T) {
	for _, secured := range []bool{false, true} {
		w := newWorld(t)
		pid := w.start(t, map[bool]string{false: "plain echo", true: "secure echo"}[secured], 0)
		c := dialEither(t, w, secured, false)
		secret := []byte(rand.Text() + rand.Text())
		found := false
		for _, n := range []int{1, 10, 1000, 10_000} {
			body := bytes.Repeat(secret, n)
			require.NoError(t, c.Send(hung(t), body))
			got, err := c.Receive(hung(t))
			require.NoError(t, err)
			require.True(t, bytes.Equal(body, got))
			content := transporttest.SharedMemory(t, pid)
			require.NotEmpty(t, content)
			// Half of it would be too much as well.
			found = found || bytes.Contains(content, secret[:len(secret)/2]) || bytes.Contains(content, secret[len(secret)/2:])
		}
		assert.Equal(t, !secured, found, "secure=%v", secured)
		require.NoError(t, c.Close())
	}
}

// TestDumpOfSocketShowsNothing is the same for what waits in the sockets of an
// attested connection.
func TestDumpOfSocketShowsNothing(t *testing.T) {
	for _, secured := range []bool{false, true} {
		w := newWorld(t)
		pid := w.start(t, map[bool]string{false: "attested echo", true: "secure attested"}[secured], 0)
		c := dialEither(t, w, secured, true)
		secret := []byte(rand.Text() + rand.Text())
		require.NoError(t, c.Send(hung(t), []byte("first")))
		_, err := c.Receive(hung(t))
		require.NoError(t, err)

		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		require.Eventually(t, func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && strings.Contains(string(stat), ") T ")
		}, limit, tick)
		require.NoError(t, c.Send(hung(t), secret))
		content := transporttest.Datagrams(t, pid)
		require.GreaterOrEqual(t, len(content), len(secret))
		assert.Equal(t, !secured, bytes.Contains(content, secret[:len(secret)/2]), "secure=%v", secured)
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		got, err := c.Receive(hung(t))
		require.NoError(t, err)
		require.Equal(t, secret, got)
		require.NoError(t, c.Close())
	}
}
