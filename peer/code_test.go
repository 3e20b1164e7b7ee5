package peer_test

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/codesign"
	"github.com/sealport/sealport/peer/internal/codesign/codesigntest"
)

// signedBy returns the identity of a process with this signature.
func signedBy(t *testing.T, k *codesigntest.Kernel) *peer.Identity {
	t.Helper()
	k.Token = [8]uint32{501, 501, 20, 501, 20, 4711, 100, 3}
	id, err := peer.IdentifyToken(k.Token, k)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, id.Close()) })
	return id
}

func TestCodePolicies(t *testing.T) {
	const valid, runtime, debuggable = codesign.FlagValid, codesign.FlagRuntime, codesign.FlagGetTaskAllow
	hash := [20]byte{1, 2, 3}
	hashText := hex.EncodeToString(hash[:])
	kernels := map[string]*codesigntest.Kernel{
		"app":    {Flags: valid | runtime, Identifier: "com.example", Team: "ABCDE12345", CDHash: hash, Category: codesign.CategoryDeveloperID},
		"system": {Flags: valid | codesign.FlagPlatform, Identifier: "com.apple.ls", Category: codesign.CategoryPlatform},
		// Ad hoc: the signer writes anything, and no certificate confirms it.
		"adhoc":    {Flags: valid | codesign.FlagAdhoc | debuggable, Identifier: "com.example", Team: "ABCDE12345", CDHash: hash, Category: codesign.CategoryNone},
		"old":      {Flags: valid | runtime | codesign.FlagDebugged, Identifier: "com.example", Team: "ABCDE12345", NoCategory: true},
		"unsigned": {Unsigned: true},
		"invalid":  {Flags: runtime, Identifier: "com.example", Team: "ABCDE12345", CDHash: hash, Category: codesign.CategoryDeveloperID},
	}
	y, n, o := sayYes, sayNo, sayOpen
	for _, row := range []struct {
		policy                                     peer.Policy
		app, system, adhoc, old, unsigned, invalid peer.Policy
	}{
		{peer.TeamID("X", "ABCDE12345"), y, n, o, o, o, o},
		{peer.TeamID("ABCDE1234"), n, n, o, o, o, o},
		{peer.SigningID("com.example"), y, n, o, o, o, o},
		{peer.SigningID("com.apple.ls"), n, y, o, o, o, o},
		{peer.CDHash(hashText), y, n, y, n, o, o},
		{peer.HardenedRuntime(), y, n, n, y, o, o},
		{peer.NotDebuggable(), y, y, n, n, o, o},
		{peer.PlatformBinary(), n, y, n, n, o, o},
	} {
		for name, want := range map[string]peer.Policy{
			"app": row.app, "system": row.system, "adhoc": row.adhoc, "old": row.old, "unsigned": row.unsigned, "invalid": row.invalid,
		} {
			id := signedBy(t, kernels[name])
			got := verdictOf(t, row.policy, id)
			assert.Equal(t, want.String(), got.String(), "%v of %s", row.policy, name)
			if err := peer.Check(t.Context(), row.policy, id); want.String() == sayOpen.String() {
				assert.ErrorIs(t, err, peer.ErrUnavailable, "%v of %s", row.policy, name)
				assert.NotErrorIs(t, err, peer.ErrGone, "%v of %s", row.policy, name)
			}
		}
	}
}

func TestCodeRequirementPolicy(t *testing.T) {
	id := signedBy(t, &codesigntest.Kernel{Flags: codesign.FlagValid, Satisfies: "anchor apple"})
	assert.Equal(t, sayYes.String(), verdictOf(t, peer.CodeRequirement("anchor apple"), id).String())
	assert.Equal(t, sayNo.String(), verdictOf(t, peer.CodeRequirement("anchor trusted"), id).String())
	assert.Equal(t, sayOpen.String(), verdictOf(t, peer.CodeRequirement("malformed"), id).String())
	err := peer.Check(t.Context(), peer.CodeRequirement("malformed"), id)
	require.ErrorIs(t, err, peer.ErrUnavailable)
	require.NotErrorIs(t, err, peer.ErrGone)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, peer.Check(ctx, peer.CodeRequirement("anchor apple"), id), context.Canceled)
}

// TestSignatureOfAGoneProcess: fork and exec change the pidversion, so that the
// kernel knows no process with the old token.
func TestSignatureOfAGoneProcess(t *testing.T) {
	k := &codesigntest.Kernel{Flags: codesign.FlagValid | codesign.FlagRuntime, Identifier: "x"}
	id := signedBy(t, k)
	require.NoError(t, id.Alive())
	require.NoError(t, peer.Check(t.Context(), peer.HardenedRuntime(), id))
	require.NoError(t, id.Recheck(t.Context()))
	k.Token[7]++
	require.ErrorIs(t, id.Alive(), peer.ErrGone)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), peer.HardenedRuntime(), id), peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), peer.CodeRequirement("anchor apple"), id), peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), peer.Anyone(), id), peer.ErrGone)
}

// TestWithoutASourceCodePoliciesRefuse: there is no kernel to ask.
func TestWithoutASourceCodePoliciesRefuse(t *testing.T) {
	id := tokenIdentity(t)
	for _, p := range []peer.Policy{peer.TeamID("X"), peer.CodeRequirement("anchor apple"), peer.NotDebuggable(), peer.Executable("/bin/sh")} {
		assert.Equal(t, sayOpen.String(), verdictOf(t, p, id).String())
		require.ErrorIs(t, peer.Check(t.Context(), p, id), peer.ErrUnavailable)
	}
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrUnavailable)
}

// TestTokenIdentity is what Darwin's kernel says without being asked again.
func TestTokenIdentity(t *testing.T) {
	words := [8]uint32{501, 502, 20, 501, 20, 4711, 100, 3}
	id, err := peer.IdentifyToken(words, nil)
	require.NoError(t, err)
	defer id.Close()
	assert.Equal(t, peer.TokenFromWords(words), id.Token())
	assert.Equal(t, append([]byte("darwin-audit/1"), id.Token().Bytes()...), id.Binding())
	assert.Equal(t, "pid 4711 uid 501 euid 502", id.String())
	assert.Equal(t, sayNo.String(), verdictOf(t, peer.UIDs(501), id).String(), "real and effective ids count")
	assert.Equal(t, sayYes.String(), verdictOf(t, peer.UIDs(501, 502), id).String())
	assert.Equal(t, sayYes.String(), verdictOf(t, peer.GIDs(20), id).String())
	assert.Equal(t, sayOpen.String(), verdictOf(t, peer.GIDs(12), id).String(), "supplementary groups are unknown")

	digest, err := peer.ParseDigest("sha256:" + hex.EncodeToString(make([]byte, 32)))
	require.NoError(t, err)
	for _, p := range []peer.Policy{
		peer.Executable("/bin/sh"), peer.ExecutableDigest(digest), peer.Label("x"), peer.Unit("x.service"), peer.Descendant(),
	} {
		assert.Equal(t, sayOpen.String(), verdictOf(t, p, id).String(), "%v: Darwin does not tell", p)
	}

	_, err = peer.IdentifyToken([8]uint32{}, nil)
	require.ErrorIs(t, err, peer.ErrNoIdentity, "the kernel's own token")
}
