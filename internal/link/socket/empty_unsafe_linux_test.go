package socket_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sendNothing sends an empty datagram with control data, to which unix.Sendmsg would add a
// byte.
func sendNothing(t *testing.T, raw int, oob []byte) {
	t.Helper()
	var m unix.Msghdr
	m.Control = &oob[0]
	m.SetControllen(len(oob))
	_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(raw), uintptr(unsafe.Pointer(&m)), 0)
	require.Zero(t, errno)
}
