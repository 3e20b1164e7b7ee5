package peer

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/sealport/sealport/peer/internal/codesign"
)

// process is what an operating system can tell about the peer while it lives.
// Every method answers for that one process, never for a later one with its pid:
// then it returns ErrGone. What it cannot learn is ErrUnavailable. Only requirement
// may block for long.
type process interface {
	alive() error
	ids() (ids, error)
	groups() ([]uint32, error)
	executable() (ExecutableFile, error)
	openExecutable() (openFile, error)
	cgroup() (string, error)
	sameUsers() error
	descends() error
	code() (codesign.Code, error)
	requirement(ctx context.Context, requirement string) error
	close() error
}

// openFile is the program that a process runs, opened for reading.
type openFile interface {
	io.ReadCloser
	stat() (ExecutableFile, error)
	tracked() bool // every write from now on changes what stat returns
	verity() (Digest, error)
}

// ids are the user and group ids of a process.
type ids struct {
	ruid, euid, suid uint32
	rgid, egid, sgid uint32
	pid              uint32 // in our pid namespace; 0 if unknown

	// complete is false where only a message told them: the effective ids are
	// then a guess and the saved ones unknown.
	complete bool
}

// unknown is a process of which nothing can be learned. The operating systems'
// own types embed it for what they do not have; all of them tell whether it lives.
type unknown struct{}

func (unknown) ids() (ids, error)         { return ids{}, unavailable("ids") }
func (unknown) groups() ([]uint32, error) { return nil, unavailable("supplementary groups") }
func (unknown) executable() (ExecutableFile, error) {
	return ExecutableFile{}, unavailable("executable")
}
func (unknown) openExecutable() (openFile, error) {
	return nil, unavailable("executable")
}
func (unknown) cgroup() (string, error)                   { return "", unavailable("cgroup") }
func (unknown) sameUsers() error                          { return unavailable("user namespace") }
func (unknown) descends() error                           { return unavailable("proof of descent") }
func (unknown) code() (codesign.Code, error)              { return codesign.Code{}, unavailable("code signature") }
func (unknown) requirement(context.Context, string) error { return unavailable("code requirement") }

// nowhere is a process of which only a message is known.
type nowhere struct{ unknown }

func (nowhere) alive() error { return errBlind }
func (nowhere) close() error { return nil }

// errBlind is the answer of alive where nothing can tell whether a process lives.
var errBlind = fmt.Errorf("%w: whether the process lives", ErrUnavailable)

func unavailable(what string) error {
	return fmt.Errorf("%w: %s on %s", ErrUnavailable, what, runtime.GOOS)
}
