package peer

import (
	"errors"
	"fmt"
	"io"

	"github.com/sealport/sealport/peer/internal/pidfd"
)

// linuxProcess is a process with a pidfd, which it owns.
type linuxProcess struct {
	unknown
	fd int
}

func (p linuxProcess) alive() error { return known(pidfd.Alive(p.fd)) }
func (p linuxProcess) close() error { return pidfd.Close(p.fd) }

func (p linuxProcess) ids() (ids, error) {
	info, err := pidfd.GetInfo(p.fd)
	if errors.Is(err, pidfd.ErrNoInfo) {
		// Linux 6.5 to 6.12. The number that /proc shows need not be ours.
		s, err := pidfd.ReadStatus(p.fd)
		return idsOf(s.IDs, 0), known(err)
	}
	return idsOf(info.IDs, info.PID), known(err)
}

func idsOf(k pidfd.IDs, pid uint32) ids {
	return ids{
		ruid: k.RUID, euid: k.EUID, suid: k.SUID, rgid: k.RGID, egid: k.EGID, sgid: k.SGID,
		pid: pid, complete: true,
	}
}

func (p linuxProcess) groups() ([]uint32, error) {
	s, err := pidfd.ReadStatus(p.fd)
	return s.Groups, known(err)
}

func (p linuxProcess) executable() (ExecutableFile, error) {
	f, path, err := pidfd.StatExe(p.fd)
	if err != nil {
		return ExecutableFile{}, known(err)
	}
	return executableOf(f, path), nil
}

func (p linuxProcess) openExecutable() (openFile, error) {
	fd, err := pidfd.OpenExe(p.fd)
	if err != nil {
		return nil, known(err)
	}
	return linuxFile{fd}, nil
}

func (p linuxProcess) cgroup() (string, error) {
	path, err := pidfd.ReadCgroup(p.fd)
	return path, known(err)
}

func (p linuxProcess) sameUsers() error {
	same, err := pidfd.SameUserNamespace(p.fd)
	if err != nil {
		return known(err)
	}
	if !same {
		return fmt.Errorf("%w: the process lives in another user namespace, where it can pass for any executable", ErrUnavailable)
	}
	return nil
}

func (p linuxProcess) descends() error { return known(pidfd.ProveDescent(p.fd)) }

// numbered is a process whose pidfd was opened by a pid that another process may
// have got meanwhile. That one has the same effective ids, so that users can be
// authorized; what tells two processes of a user apart can't be learned.
type numbered struct {
	unknown
	known linuxProcess
}

func (p numbered) alive() error      { return p.known.alive() }
func (p numbered) ids() (ids, error) { return p.known.ids() }
func (p numbered) close() error      { return p.known.close() }

// linuxFile is an open executable.
type linuxFile struct{ fd int }

func (f linuxFile) Close() error { return pidfd.Close(f.fd) }

func (f linuxFile) Read(p []byte) (int, error) {
	n, err := pidfd.Read(f.fd, p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (f linuxFile) stat() (ExecutableFile, error) {
	file, err := pidfd.Stat(f.fd)
	return executableOf(file, ""), err
}

func (f linuxFile) tracked() bool { return pidfd.TracksWrites(f.fd) }

func (f linuxFile) verity() (Digest, error) {
	algorithm, sum, err := pidfd.MeasureVerity(f.fd)
	if err != nil {
		return Digest{}, known(err)
	}
	return verityDigest(algorithm, sum)
}

// statFile describes the file at path, following symbolic links.
func statFile(path string) (ExecutableFile, error) {
	f, err := pidfd.StatPath(path)
	return executableOf(f, path), known(err)
}

func executableOf(f pidfd.File, path string) ExecutableFile {
	return ExecutableFile{Path: path, Dev: f.Dev, Ino: f.Ino, Size: f.Size, Mtime: f.Mtime, Ctime: f.Ctime}
}

// known turns an error of package pidfd into one of this package. What is not a
// process's death is something that cannot be learned.
func known(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pidfd.ErrExited):
		return ErrGone
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
