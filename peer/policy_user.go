package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// UIDs lets in processes whose effective and real user ids are both in the list.
//
// Both, because a set-user-ID program lends its effective id to whoever starts
// it with a connection of his as its standard error, and says there what he makes
// it say. A set-user-ID helper that means to act as its owner calls setresuid first.
//
// Ids are those of our user namespace. A user that does not exist in it shows as
// the overflow id (65534, usually called nobody), which is never accepted: such
// peers, and a list that names it, cannot be judged.
func UIDs(uids ...uint32) Policy {
	return ofUsers("UIDs("+join(uids, number)+")", slices.Clone(uids))
}

// Root is UIDs(0): root of our own user namespace. The root of a container that
// has no user namespace of its own is the same.
func Root() Policy { return ofUsers("Root", []uint32{0}) }

func ofUsers(name string, uids []uint32) Policy {
	return rule{name: name, bad: badIDs(uids, overflowUID()), check: func(_ context.Context, id *Identity) judgement {
		return judgeUser(id, uids)
	}}
}

// SameUser lets in processes of the user that this process acts for: UIDs of our
// own effective user id, at the time of the check.
func SameUser() Policy {
	return rule{name: "SameUser", check: func(_ context.Context, id *Identity) judgement {
		own := os.Geteuid()
		if own < 0 || uint32(own) == overflowUID() {
			return undecided(fmt.Errorf("own uid %d: %w", own, ErrUnavailable))
		}
		return judgeUser(id, []uint32{uint32(own)})
	}}
}

// Users is UIDs by name, looked up by os/user at each check. Where a name is not
// found, or not now, a peer that the others do not let in cannot be judged.
// Lookups may block on name services.
func Users(names ...string) Policy {
	return named("Users", names, judgeUser, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

// GIDs lets in processes that are a member of one of the groups: it is among their
// supplementary groups, or is both their effective and their real group id. A set-group-ID
// program's effective group alone makes no member, as for UIDs.
//
// Supplementary groups are those of the moment of the check, from
// /proc/PID/status and guarded by the pidfd. Where they cannot be had
// (Darwin; another pid namespace) a peer whose own group does not match cannot be
// judged. The overflow group id is treated as for UIDs.
func GIDs(gids ...uint32) Policy {
	gids = slices.Clone(gids)
	return rule{
		name: "GIDs(" + join(gids, number) + ")",
		bad:  badIDs(gids, overflowGID()),
		check: func(_ context.Context, id *Identity) judgement {
			return judgeGroup(id, gids)
		},
	}
}

// Groups is GIDs by name, looked up as for Users.
func Groups(names ...string) Policy {
	return named("Groups", names, judgeGroup, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// named is a rule over ids that have names.
func named(rulename string, names []string, judge func(*Identity, []uint32) judgement, find func(string) (string, error)) Policy {
	names = slices.Clone(names)
	r := rule{name: rulename + "(" + join(names, strconv.Quote) + ")", bad: badNames(names)}
	r.check = func(_ context.Context, id *Identity) judgement {
		var found []uint32
		var missing error
		for _, name := range names {
			text, err := find(name)
			n, bad := strconv.ParseUint(text, 10, 32)
			if err = cmp.Or(err, bad); err != nil {
				missing = fmt.Errorf("id of %q %w: %w", name, ErrUnavailable, err)
				continue
			}
			found = append(found, uint32(n))
		}
		j := judge(id, found)
		if j.verdict == no && missing != nil {
			return undecided(missing)
		}
		return j
	}
	return r
}

func judgeUser(id *Identity, allowed []uint32) judgement {
	euid, ruid := id.ids.euid, id.ids.ruid
	if o := overflowUID(); euid == o || ruid == o {
		return undecided(fmt.Errorf("the user does not exist in our user namespace (uid %d): %w", o, ErrUnavailable))
	}
	return decide(slices.Contains(allowed, euid) && slices.Contains(allowed, ruid),
		"effective uid is %d, real uid %d", euid, ruid)
}

func judgeGroup(id *Identity, allowed []uint32) judgement {
	o := overflowGID()
	if g := id.ids.egid; g == id.ids.rgid && g != o && slices.Contains(allowed, g) {
		return judgement{verdict: yes}
	}
	groups, err := id.Groups()
	if err != nil {
		return undecided(err)
	}
	for _, g := range groups {
		if g != o && slices.Contains(allowed, g) {
			return judgement{verdict: yes}
		}
	}
	if id.ids.egid == o || id.ids.rgid == o || slices.Contains(groups, o) {
		return undecided(fmt.Errorf("some of its groups do not exist in our user namespace (gid %d): %w", o, ErrUnavailable))
	}
	return judgement{no, fmt.Errorf("effective gid is %d, real gid %d, supplementary %v", id.ids.egid, id.ids.rgid, truncated(groups))}
}

func badIDs(ids []uint32, overflow uint32) error {
	switch {
	case len(ids) == 0:
		return errNothing
	case slices.Contains(ids, overflow):
		return fmt.Errorf("%d stands for whoever does not exist in our user namespace", overflow)
	case slices.Contains(ids, unset):
		return errors.New("-1 is no id")
	}
	return nil
}

func badNames(names []string) error {
	if len(names) == 0 {
		return errNothing
	}
	if slices.Contains(names, "") {
		return errors.New("empty name")
	}
	return nil
}

// maxListed bounds how many of the peer's groups appear in an error.
const maxListed = 16

func truncated(groups []uint32) []uint32 { return groups[:min(len(groups), maxListed)] }

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func join[T any](list []T, text func(T) string) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = text(v)
	}
	return strings.Join(parts, ", ")
}
