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

// UIDs accepts processes whose effective and real user ids are both in the list.
//
// Both, because any user can start a set-user-ID program with a connection as its
// standard error, and can choose part of what the program writes there with the
// effective id of its owner. A set-user-ID helper that intends to act as its owner calls
// setresuid first.
//
// Ids are those of our user namespace. A user that does not exist in it shows as
// the overflow id (65534, usually called nobody), which is never accepted: the rule
// cannot be evaluated for such peers, nor with a list that contains that id.
func UIDs(uids ...uint32) Policy {
	return ofUsers("UIDs("+join(uids, number)+")", slices.Clone(uids))
}

// Root is [UIDs] of 0: root of our own user namespace. The root of a container that
// has no user namespace of its own is the same.
func Root() Policy { return ofUsers("Root", []uint32{0}) }

func ofUsers(name string, uids []uint32) Policy {
	return rule{name: name, bad: badIDs(uids, overflowUID()), check: func(_ context.Context, id *Identity) result {
		return checkUser(id, uids)
	}}
}

// SameUser accepts processes of the user that this process acts for: [UIDs] of our
// own effective user id at the time of the check.
func SameUser() Policy {
	return rule{name: "SameUser", check: func(_ context.Context, id *Identity) result {
		own := os.Geteuid()
		if own < 0 || uint32(own) == overflowUID() {
			return undecided(fmt.Errorf("%w: this process has uid %d, which stands for no user", ErrUnavailable, own))
		}
		return checkUser(id, []uint32{uint32(own)})
	}}
}

// Users is [UIDs] by name, looked up by [os/user] at each check, which may block on name
// services whatever the context. If a name is not found, the rule cannot be evaluated
// for a peer that the other names do not accept.
func Users(names ...string) Policy {
	return named("Users", names, checkUser, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

// GIDs accepts processes that are a member of one of the groups: it is among their
// supplementary groups, or is both their effective and their real group id. A set-group-ID
// program's effective group alone makes no member, as for [UIDs].
//
// Supplementary groups are those of [Identity.Groups]. Where they are not available
// (Darwin; another pid namespace) the rule cannot be evaluated for a peer whose own group
// does not match. The overflow group id is treated as for UIDs.
func GIDs(gids ...uint32) Policy {
	gids = slices.Clone(gids)
	return rule{
		name: "GIDs(" + join(gids, number) + ")",
		bad:  badIDs(gids, overflowGID()),
		check: func(_ context.Context, id *Identity) result {
			return checkGroup(id, gids)
		},
	}
}

// Groups is [GIDs] by name, looked up as for [Users].
func Groups(names ...string) Policy {
	return named("Groups", names, checkGroup, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// named is a rule over ids that have names.
func named(rulename string, names []string, check func(*Identity, []uint32) result, find func(string) (string, error)) Policy {
	names = slices.Clone(names)
	r := rule{name: rulename + "(" + join(names, strconv.Quote) + ")", bad: badNames(names)}
	r.check = func(_ context.Context, id *Identity) result {
		var found []uint32
		var missing error
		for _, name := range names {
			text, err := find(name)
			n, bad := strconv.ParseUint(text, 10, 32)
			if err = cmp.Or(err, bad); err != nil {
				missing = fmt.Errorf("%w: id of %q: %w", ErrUnavailable, name, err)
				continue
			}
			found = append(found, uint32(n))
		}
		j := check(id, found)
		if j.verdict == refuses && missing != nil {
			return undecided(missing)
		}
		return j
	}
	return r
}

func checkUser(id *Identity, allowed []uint32) result {
	euid, ruid := id.ids.euid, id.ids.ruid
	if o := overflowUID(); euid == o || ruid == o {
		return undecided(fmt.Errorf("%w: the user does not exist in our user namespace (uid %d)", ErrUnavailable, o))
	}
	return decide(slices.Contains(allowed, euid) && slices.Contains(allowed, ruid),
		"effective uid is %d, real uid %d", euid, ruid)
}

func checkGroup(id *Identity, allowed []uint32) result {
	o := overflowGID()
	if g := id.ids.egid; g == id.ids.rgid && g != o && slices.Contains(allowed, g) {
		return accepted
	}
	groups, err := id.Groups()
	if err != nil {
		return undecided(err)
	}
	for _, g := range groups {
		if g != o && slices.Contains(allowed, g) {
			return accepted
		}
	}
	if id.ids.egid == o || id.ids.rgid == o || slices.Contains(groups, o) {
		return undecided(fmt.Errorf("%w: some of its groups do not exist in our user namespace (gid %d)", ErrUnavailable, o))
	}
	return result{refuses, fmt.Errorf("effective gid is %d, real gid %d, supplementary %v", id.ids.egid, id.ids.rgid, truncated(groups))}
}

func badIDs(ids []uint32, overflow uint32) error {
	switch {
	case len(ids) == 0:
		return errNothing
	case slices.Contains(ids, overflow):
		return fmt.Errorf("%d stands for every user or group that does not exist in our user namespace; give the program a user of its own", overflow)
	case slices.Contains(ids, unset):
		return errors.New("-1 is not an id")
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
