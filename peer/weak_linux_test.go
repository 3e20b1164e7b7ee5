package peer_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
)

// TestWeakIdentity is all that kernels without pidfds allow: the message and the
// socket tell ids, /proc cannot be trusted.
func TestWeakIdentity(t *testing.T) {
	id, err := peer.Weaken(&cred.Credentials{
		PIDFD: -1, Message: cred.UCred{PID: 4711, UID: 1234, GID: 5}, Socket: cred.UCred{PID: 4711, UID: 1234, GID: 6},
	})
	require.NoError(t, err)
	defer id.Close()
	assert.True(t, id.Token().Weak())
	assert.Contains(t, id.Token().String(), "weak")
	assert.Contains(t, id.String(), "weak")
	assert.NotEqual(t, peer.TokenFromWords(id.Token().Words()), id.Token(), "a weak token equals no strong one")
	assert.Contains(t, string(id.Binding()), "linux-weak/1")
	assert.False(t, id.Assurance(peer.AttributeProcess).PIDReuse)

	requireAnswer(t, allowed, peer.UIDs(1234), id)
	requireAnswer(t, refused, peer.Root(), id)
	requireAnswer(t, unknown, peer.GIDs(5), id) // the effective group is another one
	for _, p := range []peer.Policy{
		peer.Executable("/bin/sh"), peer.Unit("x.service"), peer.Descendant(), peer.GIDs(99), peer.Label("x"),
		peer.ExecutableDigest(ownDigest(t)), peer.TeamID("x"),
	} {
		requireAnswer(t, unknown, p, id)
	}
	for range 2 {
		_, err := id.Executable()
		require.ErrorIs(t, err, peer.ErrUnavailable, "a failed lookup leaves nothing behind")
	}
	require.ErrorIs(t, id.Alive(), peer.ErrUnavailable)
	require.ErrorIs(t, id.Recheck(t.Context()), peer.ErrUnavailable)
}

// TestWeakIdentityOfASetUserIDProgram: the message has the real id, the socket the
// effective one.
func TestWeakIdentityOfASetUserIDProgram(t *testing.T) {
	id, err := peer.Weaken(&cred.Credentials{
		PIDFD: -1, Message: cred.UCred{PID: 4711, UID: 1234}, Socket: cred.UCred{PID: 4711},
	})
	require.NoError(t, err)
	defer id.Close()
	requireAnswer(t, refused, peer.Root(), id)
	requireAnswer(t, refused, peer.UIDs(1234), id)
}

// TestWeakIdentityOfAnotherUsersConnection: another user connected than the one that writes.
func TestWeakIdentityOfAnotherUsersConnection(t *testing.T) {
	for _, connected := range []uint32{1234, 65534} { // the latter stands for a user unknown here
		_, err := peer.Weaken(&cred.Credentials{
			PIDFD: -1, Message: cred.UCred{PID: 4711}, Socket: cred.UCred{PID: 4712, UID: connected},
		})
		require.ErrorIs(t, err, peer.ErrContradiction)
	}
}

// TestIdentityOfUnknownPIDs: two processes without a pid here are not known to be the same.
// So the one that writes is not authorized by the ids with which the other has connected.
func TestIdentityOfUnknownPIDs(t *testing.T) {
	_, err := peer.Weaken(&cred.Credentials{PIDFD: -1, Socket: cred.UCred{UID: 1234}})
	require.ErrorIs(t, err, peer.ErrContradiction)
	id, err := peer.Weaken(&cred.Credentials{
		PIDFD: -1, Message: cred.UCred{UID: 1234, GID: 5}, Socket: cred.UCred{UID: 1234, GID: 6}, Label: "x",
	})
	require.NoError(t, err)
	defer id.Close()
	assert.Equal(t, uint32(5), id.Token().EGID(), "not that of the socket")
	assert.True(t, id.Connector().Differs)
	requireAnswer(t, unknown, peer.Label("x"), id)
}

func TestAssuranceIsWhatTheDocumentSays(t *testing.T) {
	_, id := newSite(t).connect(nil)
	require.Len(t, hex.EncodeToString(id.Binding()), 2*(len("linux-pidfs/1")+16+8))
	weak, err := peer.Weaken(&cred.Credentials{PIDFD: -1, Message: cred.UCred{PID: 4711}, Socket: cred.UCred{PID: 4711}})
	require.NoError(t, err)
	defer weak.Close()
	for name, row := range map[string]struct {
		id   *peer.Identity
		want map[peer.Attribute]peer.Assurance
	}{
		"Linux": {id, map[peer.Attribute]peer.Assurance{
			peer.AttributeIDs:        {Kernel: true, Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeProcess:    {Kernel: true, Moment: peer.ForLife, PIDReuse: true},
			peer.AttributeGroups:     {Kernel: true, Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeNames:      {Moment: peer.AtLook, PIDReuse: true},
			peer.AttributePath:       {Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeExecutable: {Kernel: true, Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeLabel:      {Kernel: true, Moment: peer.AtConnect},
			peer.AttributeUnit:       {Kernel: true, Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeSignature:  {Kernel: true, Moment: peer.AtLook, PIDReuse: true},
		}},
		"Linux without pidfds": {weak, map[peer.Attribute]peer.Assurance{
			peer.AttributeIDs:        {Kernel: true, Moment: peer.AtHello, PIDReuse: true},
			peer.AttributeProcess:    {Kernel: true, Moment: peer.ForLife},
			peer.AttributeGroups:     {Kernel: true, Moment: peer.AtLook},
			peer.AttributeNames:      {Moment: peer.AtLook},
			peer.AttributePath:       {Moment: peer.AtLook},
			peer.AttributeExecutable: {Kernel: true, Moment: peer.AtLook},
			peer.AttributeLabel:      {Kernel: true, Moment: peer.AtConnect},
			peer.AttributeUnit:       {Kernel: true, Moment: peer.AtLook},
		}},
		"Darwin": {tokenIdentity(t), map[peer.Attribute]peer.Assurance{
			peer.AttributeIDs:       {Kernel: true, Moment: peer.AtHello, PIDReuse: true, Exec: true},
			peer.AttributeProcess:   {Kernel: true, Moment: peer.ForLife, PIDReuse: true, Exec: true},
			peer.AttributeNames:     {Moment: peer.AtLook, PIDReuse: true},
			peer.AttributeSignature: {Kernel: true, Moment: peer.AtLook, PIDReuse: true, Exec: true},
		}},
	} {
		for attribute, want := range row.want {
			assert.Equal(t, want, row.id.Assurance(attribute), "%s, attribute %d", name, attribute)
		}
	}
	assert.Zero(t, id.Assurance(peer.AttributeSignature+1))
}

// TestIdentifyByAuditToken: credentials of a Mach kernel, which is simulated here, are the
// token and nothing else.
func TestIdentifyByAuditToken(t *testing.T) {
	words := [8]uint32{501, 502, 20, 501, 20, 4711, 100, 3}
	id, err := peer.Identify(&cred.Credentials{AuditToken: words, PIDFD: -1})
	require.NoError(t, err)
	defer id.Close()
	assert.Equal(t, peer.TokenFromWords(words), id.Token())
	requireAnswer(t, allowed, peer.UIDs(501, 502), id)
}
