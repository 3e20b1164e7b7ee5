package transporttest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// SharedMemory is what any third process with the right to look sees of the memory
// that a process shares with its peers.
func SharedMemory(t *testing.T, pid int) (content []byte) {
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

// Datagrams is what waits in the sockets of a process that is stopped.
func Datagrams(t *testing.T, pid int) (content []byte) {
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
