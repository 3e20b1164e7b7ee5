package peercred

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// someGroups is enough for most processes; the kernel tells how many there are.
const someGroups = 32

// groups returns the supplementary groups that the other end of a socket had:
// at most 65,536 (NGROUPS_MAX). They do not change while the socket is connected.
func groups(fd int) ([]uint32, error) {
	const size = unsafe.Sizeof(uint32(0))
	g := make([]uint32, someGroups)
	for {
		length := uint32(uintptr(len(g)) * size)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&g[0])), uintptr(unsafe.Pointer(&length)), 0)
		n := int(uintptr(length) / size)
		switch {
		case errno == 0:
			return g[:n], nil
		case errno == unix.ERANGE && n > len(g):
			g = make([]uint32, n)
		default:
			return nil, errno
		}
	}
}
