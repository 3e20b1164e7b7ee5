package peer_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
)

func TestTokenKeepsTheOrderOfAuditToken(t *testing.T) {
	words := [8]uint32{10, 11, 12, 13, 14, 15, 16, 17}
	token := peer.TokenFromWords(words)
	assert.Equal(t, words, token.Words())
	assert.Equal(t, words, [8]uint32{
		token.AUID(), token.EUID(), token.EGID(), token.RUID(), token.RGID(), token.PID(), token.ASID(), token.PIDVersion(),
	})
	b := token.Bytes()
	require.Len(t, b, peer.TokenSize)
	for i, w := range words {
		assert.Equal(t, w, binary.LittleEndian.Uint32(b[4*i:]))
	}
	assert.Equal(t, "pid=15 version=17 euid=11 egid=12 ruid=13 rgid=14 auid=10 asid=16", token.String())
	assert.Equal(t, token, peer.TokenFromWords(words))
	for i := range words {
		other := words
		other[i]++
		assert.NotEqual(t, token, peer.TokenFromWords(other), "word %d counts", i)
	}
	words[0], words[6] = 0xFFFFFFFF, 0xFFFFFFFF
	assert.Contains(t, peer.TokenFromWords(words).String(), "auid=unset asid=unset")
}

// What is not known is not logged as zero, which would be root or the kernel.
func TestTokenSaysWhatIsUnknown(t *testing.T) {
	assert.Equal(t, "unknown", peer.Token{}.String())
	unseen := peer.TokenFromWords([8]uint32{1: 1234, 2: 5, 3: 1234, 4: 5, 7: 9})
	assert.Contains(t, unseen.String(), "pid=unknown ")
	assert.Contains(t, unseen.String(), "euid=1234 ")
	root := peer.TokenFromWords([8]uint32{5: 4711, 7: 9})
	assert.Contains(t, root.String(), "pid=4711 ")
	assert.Contains(t, root.String(), "euid=0 ")
}
