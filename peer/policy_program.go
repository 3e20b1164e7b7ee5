package peer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
)

// Executable lets in processes that run the very file at this absolute path in
// our own mount namespace, by device and inode; symbolic links are followed. Linux
// only: on Darwin, use the code signature.
//
// It tells a process's program at the moment of the check. It keeps other users'
// processes out if they cannot write to the file, and mistakes of the same
// user's; but whoever has the peer's user id can start the program, debug it,
// or exec it on a connection of which he keeps a copy. Combine it with a user that
// runs nothing else. A process in another user namespace, where it can pretend
// to run any file, is refused; so is one whose file has been replaced since.
func Executable(path string) Policy {
	r := rule{name: "Executable(" + strconv.Quote(path) + ")"}
	if !filepath.IsAbs(path) {
		r.bad = errors.New("the path is not absolute")
	}
	r.check = func(_ context.Context, id *Identity) judgement {
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

// ExecutableDigest lets in processes that run a file with one of these digests,
// whatever its name. It proves what Executable does, and survives the
// replacement of the file. See Identity.Digest for what it costs.
func ExecutableDigest(digests ...Digest) Policy {
	digests = slices.Clone(digests)
	r := rule{name: "ExecutableDigest(" + join(digests, Digest.String) + ")"}
	if len(digests) == 0 {
		r.bad = errNothing
	}
	if slices.Contains(digests, Digest{}) {
		r.bad = fmt.Errorf("zero digest: %w", ErrDigest)
	}
	r.check = func(ctx context.Context, id *Identity) judgement {
		if _, err := program(id); err != nil {
			return undecided(err)
		}
		return anyDigest(ctx, id, digests)
	}
	return r
}

// anyDigest computes each algorithm's digest at most once.
func anyDigest(ctx context.Context, id *Identity, digests []Digest) judgement {
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
			return judgement{verdict: yes}
		}
	}
	if failed != nil {
		return undecided(failed)
	}
	return judgement{no, errors.New("its executable has another digest")}
}

// program returns the executable of a process that cannot pretend to run
// another one: setting /proc/PID/exe (PR_SET_MM_MAP, prctl(2)) takes
// CAP_CHECKPOINT_RESTORE in the process's user namespace, which anybody has in one of his own.
// It must still be the one that was captured when Check looked last, at its beginning.
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

// Label lets in processes whose connection has one of these LSM labels
// (SELinux context, AppArmor profile), compared byte by byte. Linux only.
func Label(labels ...string) Policy {
	return anyText("Label", labels, (*Identity).Label)
}

// Unit lets in processes of one of these units of the system's service manager,
// such as "cups.service": see Identity.Unit. Linux with systemd only. It trusts who
// manages the cgroups, root; children of the unit's processes are in it too.
func Unit(units ...string) Policy {
	return anyText("Unit", units, (*Identity).Unit)
}

// anyText is a rule over an attribute that is a text.
func anyText(name string, texts []string, get func(*Identity) (string, error)) Policy {
	texts = slices.Clone(texts)
	return rule{
		name: name + "(" + join(texts, strconv.Quote) + ")",
		bad:  badNames(texts),
		check: func(_ context.Context, id *Identity) judgement {
			got, err := get(id)
			if err != nil {
				return undecided(err)
			}
			return decide(slices.Contains(texts, got), "it is %s", strconv.Quote(got))
		},
	}
}

// Descendant lets in processes that this one has started, or that those have, as
// far as the chain of living parents shows it: a daemon that detached itself cannot be
// judged. Linux 6.13 and later, in our own pid namespace, unless we are its init.
// It says nothing of which program the descendant runs by now.
func Descendant() Policy {
	return rule{name: "Descendant", check: func(_ context.Context, id *Identity) judgement {
		if err := ask(id, process.descends); err != nil {
			return undecided(err)
		}
		return judgement{verdict: yes}
	}}
}
