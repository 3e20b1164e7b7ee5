package ring_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/ring"
)

// TestMemoryIsNotForOtherUsers: the memory file has no name but those in /proc, which are
// for those who may debug this process.
func TestMemoryIsNotForOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	m, fd, err := ring.Create(ring.MinSize)
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(m.Unmap(), unix.Close(fd))) }()
	open := func(uid uint32) error {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("exec 5<>/proc/%d/fd/%d", os.Getpid(), fd))
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd.Run()
	}
	require.NoError(t, open(0), "else this shows nothing")
	var failed *exec.ExitError
	require.ErrorAs(t, open(12_345), &failed)
	require.Positive(t, failed.ExitCode(), "it has run")
}
