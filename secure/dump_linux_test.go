package secure_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// sharedMemory is what any third process with the right to look sees of the memory
// that a process shares with its peers.
func sharedMemory(t *testing.T, pid int) (content []byte) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skip("needs the right to read another process's memory: ", err)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, "memfd:") {
			continue
		}
		var from, to int64
		_, err := fmt.Sscanf(line, "%x-%x", &from, &to)
		require.NoError(t, err)
		part := make([]byte, to-from)
		_, err = mem.ReadAt(part, from)
		require.NoError(t, err)
		content = append(content, part...)
	}
	return content
}

// datagrams is what waits in the sockets of a process that is stopped.
func datagrams(t *testing.T, pid int) (content []byte) {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	require.NoError(t, err)
	defer unix.Close(pidfd)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	require.NoError(t, err)
	for _, e := range entries {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if !strings.HasPrefix(link, "socket:") {
			continue
		}
		n, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if err != nil {
			t.Skip("needs the right to take another process's descriptors: ", err)
		}
		buf := make([]byte, 128<<10)
		if n, _, _, _, err := unix.Recvmsg(fd, buf, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil {
			content = append(content, buf[:n]...)
		}
		require.NoError(t, unix.Close(fd))
	}
	return content
}

// sender is what plain and secure Conns have.
func dialEither(t *testing.T, w *world, secured, attested bool) *transport.Conn {
	t.Helper()
	plain := &transport.Config{Folder: w.folder, Attested: attested}
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
			content := sharedMemory(t, pid)
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

		require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
		require.Eventually(t, func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && strings.Contains(string(stat), ") T ")
		}, limit, tick)
		require.NoError(t, c.Send(hung(t), secret))
		content := datagrams(t, pid)
		require.GreaterOrEqual(t, len(content), len(secret))
		assert.Equal(t, !secured, bytes.Contains(content, secret[:len(secret)/2]), "secure=%v", secured)
		require.NoError(t, unix.Kill(pid, unix.SIGCONT))
		got, err := c.Receive(hung(t))
		require.NoError(t, err)
		require.Equal(t, secret, got)
		require.NoError(t, c.Close())
	}
}
