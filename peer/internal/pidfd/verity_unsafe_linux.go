package pidfd

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVeritySize is FS_VERITY_MAX_DIGEST_SIZE of the kernel's
// include/linux/fsverity.h: the size of SHA-512.
const maxVeritySize = 64

// verityArg is struct fsverity_digest of linux/fsverity.h with room behind it.
type verityArg struct {
	unix.FsverityDigest
	digest [maxVeritySize]byte
}

// MeasureVerity returns the number of the hash algorithm (FS_VERITY_HASH_ALG_*)
// and the digest by which fs-verity guards an open file, in constant time. The
// kernel refuses to return other bytes of that file than those it covers.
// It returns ErrNoVerity if there is none.
func MeasureVerity(fd int) (algorithm uint16, digest []byte, err error) {
	arg := verityArg{FsverityDigest: unix.FsverityDigest{Size: maxVeritySize}}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_MEASURE_VERITY, uintptr(unsafe.Pointer(&arg)))
	switch errno {
	case 0:
	case unix.ENODATA, unix.ENOTTY, unix.EOPNOTSUPP:
		return 0, nil, ErrNoVerity
	default:
		return 0, nil, fmt.Errorf("FS_IOC_MEASURE_VERITY: %w", errno)
	}
	if arg.Size > maxVeritySize {
		return 0, nil, fmt.Errorf("fs-verity digest of %d bytes: %w", arg.Size, ErrMalformed)
	}
	return arg.Algorithm, append([]byte(nil), arg.digest[:arg.Size]...), nil
}
