package peer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
)

// Executable accepts processes that run the file at this absolute path in our own mount
// namespace, compared by device and inode; symbolic links are followed. Linux only: on
// Darwin, use the code signature.
//
// What counts is the program that the process runs at the moment of the check. The
// policy keeps out other users' processes if they cannot write to the file, and wrong
// programs of the same user. It does not keep out a malicious program of the peer's user,
// which can start the executable, debug it, or exec it on a connection of which it keeps
// a copy.
// Combine it with a user that runs nothing else. A process in another user namespace,
// where it can pretend to run any file, is refused; so is one whose file has been
// replaced since.
func Executable(path string) Policy {
	r := rule{name: "Executable(" + strconv.Quote(path) + ")"}
	if !filepath.IsAbs(path) {
		r.bad = errors.New("the path is not absolute")
	}
	r.check = func(_ context.Context, id *Identity) result {
		exe, err := program(id)
		if err != nil {
			return undecided(err)
		}
		want, err := statFile(path)
		if err != nil {
			return undecided(err)
		}
		return decide(exe.Dev == want.Dev && exe.Ino == want.Ino, "runs %s", printable(exe.Path))
	}
	return r
}

// ExecutableDigest accepts processes that run a file with one of these digests, whatever
// its name. It proves what [Executable] proves, and still accepts a process whose file
// has been replaced. See [Identity.Digest] for what it costs.
func ExecutableDigest(digests ...Digest) Policy {
	digests = slices.Clone(digests)
	r := rule{name: "ExecutableDigest(" + join(digests, Digest.String) + ")"}
	if len(digests) == 0 {
		r.bad = errNothing
	}
	if slices.Contains(digests, Digest{}) {
		r.bad = fmt.Errorf("%w: zero digest", ErrDigest)
	}
	r.check = func(ctx context.Context, id *Identity) result {
		if _, err := program(id); err != nil {
			return undecided(err)
		}
		return anyDigest(ctx, id, digests)
	}
	return r
}

// anyDigest computes each algorithm's digest at most once.
func anyDigest(ctx context.Context, id *Identity, digests []Digest) result {
	found := map[string]Digest{}
	var failed error
	for _, want := range digests {
		got, ok := found[want.Algorithm]
		if !ok {
			var err error
			if got, err = id.Digest(ctx, want.Algorithm); err != nil {
				failed = err // one algorithm can be missing where another is there
			}
			found[want.Algorithm] = got
		}
		if got == want {
			return accepted
		}
	}
	if failed != nil {
		return undecided(failed)
	}
	return result{refuses, errors.New("its executable has another digest")}
}

// program returns the executable of a process that cannot pretend to run
// another one: setting /proc/PID/exe (PR_SET_MM_MAP, prctl(2)) takes
// CAP_CHECKPOINT_RESTORE in the process's user namespace, which any user has in one
// of its own. It must still be the captured one when Check looked last, at its beginning.
func program(id *Identity) (ExecutableFile, error) {
	if err := ask(id, process.sameUsers); err != nil {
		return ExecutableFile{}, err
	}
	exe, err := id.Executable()
	if err != nil {
		return ExecutableFile{}, err
	}
	return exe, id.last.Load().is(exe)
}

// Label accepts processes whose connection has one of these LSM labels (SELinux
// context, AppArmor profile), compared byte by byte: see [Identity.Label]. Linux only.
func Label(labels ...string) Policy {
	return anyText("Label", labels, (*Identity).Label)
}

// Unit accepts processes of one of these units of the system's service manager, such
// as "cups.service": see [Identity.Unit]. Linux with systemd only. It trusts root, which
// manages the cgroups. Children of the unit's processes are in the unit too.
func Unit(units ...string) Policy {
	return anyText("Unit", units, (*Identity).Unit)
}

// anyText is a rule over an attribute that is a text.
func anyText(name string, texts []string, get func(*Identity) (string, error)) Policy {
	texts = slices.Clone(texts)
	return rule{
		name: name + "(" + join(texts, strconv.Quote) + ")",
		bad:  badNames(texts),
		check: func(_ context.Context, id *Identity) result {
			got, err := get(id)
			if err != nil {
				return undecided(err)
			}
			return decide(slices.Contains(texts, got), "it is %s", strconv.Quote(got))
		},
	}
}

// Descendant accepts processes that this one has started, or that one of those has, as
// far as the chain of living parents shows it: it cannot be evaluated for a daemon that
// has detached itself. Linux 6.13 and later, in our own pid namespace, unless this process
// is its init. It does not tell which program the descendant runs now.
func Descendant() Policy {
	return rule{name: "Descendant", check: func(_ context.Context, id *Identity) result {
		if err := ask(id, process.descends); err != nil {
			return undecided(err)
		}
		return accepted
	}}
}
