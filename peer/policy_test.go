package peer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/codesign/codesigntest"
)

// fixed policies, one for each verdict.
var (
	errOpen = errors.New("cannot tell")
	sayYes  = peer.Func("yes", func(context.Context, *peer.Identity) error { return nil })
	sayNo   = peer.Func("no", func(context.Context, *peer.Identity) error { return peer.ErrRefused })
	sayOpen = peer.Func("open", func(context.Context, *peer.Identity) error { return errOpen })
)

func tokenIdentity(t *testing.T) *peer.Identity {
	t.Helper()
	id, err := peer.IdentifyToken([8]uint32{1, 2, 3, 4, 5, 6, 7, 8}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, id.Close()) })
	return id
}

// verdictOf finds out which of the three verdicts a policy gives.
func verdictOf(t *testing.T, p peer.Policy, id *peer.Identity) peer.Policy {
	t.Helper()
	if peer.Check(t.Context(), p, id) == nil {
		require.Error(t, peer.Check(t.Context(), peer.Not(p), id), "%v and its opposite", p)
		return sayYes
	}
	if peer.Check(t.Context(), peer.Not(p), id) == nil {
		return sayNo
	}
	return sayOpen
}

// TestThreeValuedLogic has the truth tables of the combinators.
func TestThreeValuedLogic(t *testing.T) {
	id := tokenIdentity(t)
	for _, row := range []struct{ a, b, all, anyOf peer.Policy }{
		{sayYes, sayYes, sayYes, sayYes},
		{sayYes, sayNo, sayNo, sayYes},
		{sayYes, sayOpen, sayOpen, sayYes},
		{sayNo, sayYes, sayNo, sayYes},
		{sayNo, sayNo, sayNo, sayNo},
		{sayNo, sayOpen, sayNo, sayOpen},
		{sayOpen, sayYes, sayOpen, sayYes},
		{sayOpen, sayNo, sayOpen, sayOpen},
		{sayOpen, sayOpen, sayOpen, sayOpen},
	} {
		all, anyOf := peer.AllOf(row.a, row.b), peer.AnyOf(row.a, row.b)
		assert.Equal(t, row.all.String(), verdictOf(t, all, id).String(), all)
		assert.Equal(t, row.anyOf.String(), verdictOf(t, anyOf, id).String(), anyOf)
	}
	for _, p := range []peer.Policy{sayYes, sayNo, sayOpen} {
		assert.Equal(t, p.String(), verdictOf(t, peer.Not(peer.Not(p)), id).String())
		assert.Equal(t, p.String(), verdictOf(t, peer.AllOf(p), id).String())
		assert.Equal(t, p.String(), verdictOf(t, peer.AnyOf(p), id).String())
	}
}

// TestAllOfStopsEarly: expensive rules are not evaluated for a peer that a cheaper one refuses.
func TestAllOfStopsEarly(t *testing.T) {
	calls := 0
	count := peer.Func("count", func(context.Context, *peer.Identity) error { calls++; return nil })
	id := tokenIdentity(t)
	require.Error(t, peer.Check(t.Context(), peer.AllOf(sayNo, count), id))
	require.Error(t, peer.Check(t.Context(), peer.AllOf(sayOpen, count), id))
	require.NoError(t, peer.Check(t.Context(), peer.AnyOf(sayYes, count), id))
	require.Zero(t, calls)
	require.NoError(t, peer.Check(t.Context(), peer.AllOf(sayYes, count), id))
	require.Equal(t, 1, calls)
}

func TestUnusablePoliciesRefuse(t *testing.T) {
	id := tokenIdentity(t)
	for _, p := range []peer.Policy{
		peer.AllOf(), peer.AnyOf(), peer.AllOf(nil), peer.AnyOf(sayNo, nil), peer.Not(nil),
		peer.UIDs(), peer.GIDs(), peer.Users(), peer.Groups(), peer.Users(""), peer.UIDs(^uint32(0)),
		peer.Executable(""), peer.Executable("bin/sh"), peer.ExecutableDigest(), peer.ExecutableDigest(peer.Digest{}),
		peer.Label(), peer.Label(""), peer.Unit(), peer.SigningID(), peer.TeamID(), peer.TeamID(""),
		peer.CDHash(), peer.CDHash("00"), peer.CDHash("zz"), peer.CDHash(strings.Repeat("00", 20) + "0"), peer.CodeRequirement(""), peer.Func("nil", nil),
	} {
		for _, p := range []peer.Policy{p, peer.Not(p), peer.AllOf(p), peer.Not(peer.AnyOf(p))} {
			err := peer.Check(t.Context(), p, id)
			require.ErrorIs(t, err, peer.ErrRefused, p)
			require.ErrorIs(t, err, peer.ErrPolicy, p)
			require.ErrorIs(t, peer.Validate(p), peer.ErrPolicy, p)
		}
		assert.NotEmpty(t, p.String())
	}
	for _, p := range []peer.Policy{nil, peer.Default(), peer.Anyone(), peer.Not(sayNo), peer.Executable("/bin/sh")} {
		require.NoError(t, peer.Validate(p))
	}
}

func TestRefusedErrorNamesTheRule(t *testing.T) {
	id := tokenIdentity(t)
	policy := peer.AllOf(peer.UIDs(2, 4), peer.AnyOf(peer.UIDs(9), sayOpen))
	err := peer.Check(t.Context(), policy, id)
	var refused *peer.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, `AllOf(UIDs(2, 4), AnyOf(UIDs(9), Func("open")))`, refused.Rule)
	assert.Equal(t, id.Token(), refused.Token)
	require.ErrorIs(t, err, peer.ErrRefused)
	require.ErrorIs(t, err, errOpen, "each alternative's reason can be found")
	assert.Equal(t, "AnyOf(SameUser, Root)", peer.Default().String())
	assert.Equal(t, `AllOf(SameUser, Executable("/usr/bin/x"))`, peer.AllOf(peer.SameUser(), peer.Executable("/usr/bin/x")).String())
}

func TestCheckObeysItsContext(t *testing.T) {
	id := tokenIdentity(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := peer.Check(ctx, peer.AllOf(peer.Func("cancels", func(context.Context, *peer.Identity) error {
		cancel()
		return nil
	}), sayYes), id)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, peer.ErrRefused)
	require.ErrorIs(t, peer.Check(ctx, sayYes, id), context.Canceled)
}

func TestPolicyKeepsItsOwnLists(t *testing.T) {
	id := tokenIdentity(t) // euid 2, ruid 4
	uids := []uint32{2, 4}
	p := peer.UIDs(uids...)
	uids[0] = 9
	require.NoError(t, peer.Check(t.Context(), p, id))
	members := []peer.Policy{sayYes}
	p = peer.AllOf(members...)
	members[0] = sayNo
	require.NoError(t, peer.Check(t.Context(), p, id))

	signed := signedBy(t, &codesigntest.Kernel{
		Flags: codesign.FlagValid, Identifier: "com.example", Team: "ABCDE12345", Category: codesign.CategoryDeveloperID,
	})
	for _, rule := range []struct {
		make func(...string) peer.Policy
		want string
	}{
		{peer.TeamID, "ABCDE12345"}, {peer.SigningID, "com.example"}, {peer.CDHash, strings.Repeat("00", 20)},
	} {
		list := []string{rule.want}
		p := rule.make(list...)
		list[0] = "other"
		require.NoError(t, peer.Check(t.Context(), p, signed), p)
	}
}
