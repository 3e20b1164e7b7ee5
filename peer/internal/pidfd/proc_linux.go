package pidfd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	firstRead  = 512     // most files end within; the buffer grows up to the limits below
	smallFile  = 4096    // fdinfo, loginuid, boot_id: all far below
	statusFile = 1 << 20 // 65,536 supplementary groups (NGROUPS_MAX) of 11 bytes each
	cgroupFile = 1 << 16 // a line for each of a dozen hierarchies, paths below PATH_MAX
)

// BootID returns the random number that the kernel drew when it booted. A
// container manager can hide it behind another one (systemd-nspawn does).
func BootID() ([16]byte, error) {
	b, err := readFile("/proc/sys/kernel/random/boot_id", smallFile)
	if err != nil {
		return [16]byte{}, err
	}
	return ParseBootID(b)
}

// OverflowUID is the uid that the kernel shows for users that do not exist in
// our user namespace (/proc/sys/kernel/overflowuid), normally 65534.
func OverflowUID() (uint32, error) { return readNumber("/proc/sys/kernel/overflowuid") }

// OverflowGID is OverflowUID for groups.
func OverflowGID() (uint32, error) { return readNumber("/proc/sys/kernel/overflowgid") }

// mount is a mounted file system: another one has another number, or was mounted later.
type mount struct {
	dev   uint64
	ctime unix.Timespec
}

// lastProc is the /proc that procIsOurs saw last.
var lastProc atomic.Pointer[struct {
	mount
	ours bool
}]

// procIsOurs reports whether the /proc that is mounted here is that of our pid namespace,
// so that it knows processes by the numbers that the kernel tells us. It costs one system
// call, where fdinfo costs four and makes an inode.
func procIsOurs() bool {
	var st unix.Stat_t
	if unix.Stat("/proc", &st) != nil {
		return false
	}
	now := mount{uint64(st.Dev), st.Ctim}
	last := lastProc.Load()
	if last == nil || last.mount != now {
		b, err := readFile("/proc/self/status", statusFile)
		if err != nil {
			return false
		}
		last = &struct {
			mount
			ours bool
		}{now, IsOwnProc(b)}
		lastProc.Store(last)
	}
	return last.ours
}

// dir returns "/proc/N" where N is the number that the process has in the pid
// namespace of the /proc that is mounted here, which need not be ours. Unless it is, only
// /proc's own view of the pidfd can tell that number. It is the process's own
// until Alive says otherwise: check it after what was read by it.
func dir(fd int) (string, error) {
	pid, err := Number(fd)
	if err != nil {
		return "", err
	}
	return "/proc/" + strconv.Itoa(pid), nil
}

// Number returns the pid of the process in the pid namespace of the /proc that is
// mounted here. Errors: ErrNotPidfd, ErrExited once it was reaped, ErrForeign.
func Number(fd int) (int, error) {
	if procIsOurs() {
		if info, err := GetInfo(fd); err == nil {
			return int(info.PID), nil
		}
	}
	b, err := readFile("/proc/self/fdinfo/"+strconv.Itoa(fd), smallFile)
	if err != nil {
		return 0, err
	}
	pid, err := ParseFdinfo(b)
	switch {
	case err != nil:
		return 0, err
	case pid < 0:
		return 0, ErrExited
	case pid == 0:
		return 0, ErrForeign
	}
	return pid, nil
}

// look runs f on the process's directory in /proc and believes the result only if
// the process lived afterwards: then the directory was its own all the time.
func look[T any](fd int, f func(dir string) (T, error)) (T, error) {
	var zero T
	d, err := dir(fd)
	if err != nil {
		return zero, err
	}
	v, err := f(d)
	if gone := Alive(fd); gone != nil {
		return zero, gone
	}
	if err != nil {
		return zero, err
	}
	return v, nil
}

// ReadStatus reads the ids and supplementary groups from /proc/PID/status. The
// ids are those of GetInfo, for kernels that have no PIDFD_GET_INFO.
func ReadStatus(fd int) (Status, error) {
	return look(fd, func(dir string) (Status, error) {
		b, err := readFile(dir+"/status", statusFile)
		if err != nil {
			return Status{}, err
		}
		return ParseStatus(b)
	})
}

// ReadSession returns the audit login uid and session id of the process
// (/proc/PID/loginuid and sessionid; 0xFFFFFFFF when unset). Kernels without
// CONFIG_AUDIT have neither and give unset.
func ReadSession(fd int) (loginuid, sessionid uint32, err error) {
	const unset = ^uint32(0)
	s, err := look(fd, func(dir string) (s [2]uint32, err error) {
		s = [2]uint32{unset, unset}
		s[0], err = readNumber(dir + "/loginuid")
		// Without a login uid there is no session: the kernel sets both at once.
		if err == nil && s[0] != unset {
			s[1], err = readNumber(dir + "/sessionid")
		}
		if errors.Is(err, unix.ENOENT) {
			err = nil
		}
		return s, err
	})
	if err != nil {
		return unset, unset, err
	}
	return s[0], s[1], nil
}

// ReadCgroup returns the path of the process's cgroup in the hierarchy that
// systemd manages, as seen from our cgroup namespace.
func ReadCgroup(fd int) (string, error) {
	return look(fd, func(dir string) (string, error) {
		b, err := readFile(dir+"/cgroup", cgroupFile)
		if err != nil {
			return "", err
		}
		return ParseCgroup(b)
	})
}

// StatExe returns the file that the process runs and its path as the kernel
// prints it: in the mount namespace of that file, with " (deleted)" after it if
// the name is gone. The path is for display; compare File.
//
// It needs the right to ptrace-read the process: EACCES or EPERM if not.
func StatExe(fd int) (File, string, error) {
	type exe struct {
		file File
		path string
	}
	e, err := look(fd, func(dir string) (exe, error) {
		// O_PATH pins the inode, so that both answers are about one file even
		// if the process execs in between.
		f, err := unix.Open(dir+"/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return exe{}, fmt.Errorf("opening exe: %w", err)
		}
		defer unix.Close(f)
		file, err := statCached(f)
		if err != nil {
			return exe{}, err
		}
		path, err := readlink("/proc/self/fd/" + strconv.Itoa(f))
		return exe{file, path}, err
	})
	return e.file, e.path, err
}

// OpenExe opens the file that the process runs for reading, close-on-exec. The
// caller closes it with Close. It returns ErrUserSpace for a file whose contents
// a process serves (FUSE), which could show us others than it executes.
func OpenExe(fd int) (int, error) {
	opened := -1
	f, err := look(fd, func(dir string) (int, error) {
		var err error
		opened, err = unix.Open(dir+"/exe", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != nil {
			return -1, fmt.Errorf("opening exe: %w", err)
		}
		var fs unix.Statfs_t
		if err := unix.Fstatfs(opened, &fs); err != nil {
			return -1, fmt.Errorf("statfs of exe: %w", err)
		}
		if fs.Type == unix.FUSE_SUPER_MAGIC {
			return -1, ErrUserSpace
		}
		return opened, nil
	})
	if err != nil && opened >= 0 {
		unix.Close(opened)
		return -1, err
	}
	return f, err
}

// TracksWrites reports whether the file's times will tell of writes from now on. Only root
// and this user may write the file. On tmpfs, writes through a shared mapping change no
// time. On the file systems listed here, the kernel notes the first write to each page
// after the page was last written to disk: so that is done now, for pages that are mapped
// and were written to before. An overlay is what is below it, which it does not tell.
func TracksWrites(fd int) bool {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Fstat(fd, &st) != nil || unix.Fstatfs(fd, &fs) != nil {
		return false
	}
	if st.Mode&0o022 != 0 || st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return false
	}
	switch uint32(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC: // the first is that of ext2 and ext3 too
		return unix.Fdatasync(fd) == nil
	}
	return false
}

// Read reads from a file that OpenExe opened. It returns 0, nil at its end.
func Read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Stat describes an open file.
func Stat(fd int) (File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return File{}, fmt.Errorf("stat: %w", err)
	}
	return fileOf(&st), nil
}

// statCached is Stat without asking a network or user-space file system, whose
// server could make us wait. Sizes and times may be out of date there.
func statCached(fd int) (File, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &st)
	if err != nil {
		return File{}, fmt.Errorf("statx: %w", err)
	}
	return File{
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: int64(st.Size),
		Mtime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), Ctime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}, nil
}

// StatPath describes the file at path, following symbolic links.
func StatPath(path string) (File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return File{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return fileOf(&st), nil
}

func fileOf(st *unix.Stat_t) File {
	return File{
		// Dev is narrower on some architectures.
		Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}
}

// readFile reads a whole procfs file of at most limit bytes. os.ReadFile would
// offer each file of procfs to the netpoller, which refuses them.
func readFile(path string, limit int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, firstRead)
	n := 0
	for {
		m, err := Read(fd, buf[n:])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if m == 0 {
			return buf[:n], nil
		}
		if n += m; n == len(buf) {
			if n >= limit {
				return nil, fmt.Errorf("%s is larger than %d bytes: %w", path, limit, ErrMalformed)
			}
			buf = append(buf, make([]byte, min(len(buf), limit-n))...)
		}
	}
}

func readNumber(path string) (uint32, error) {
	b, err := readFile(path, smallFile)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, ErrMalformed)
	}
	return uint32(n), nil
}

func readlink(path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, buf)
	if err != nil {
		return "", fmt.Errorf("readlink: %w", err)
	}
	return string(buf[:n]), nil
}
