package peer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
)

func TestParseDigest(t *testing.T) {
	for _, s := range []string{
		"sha256:" + strings.Repeat("0a", 32),
		"fsverity-sha256:" + strings.Repeat("ff", 32),
		"fsverity-sha512:" + strings.Repeat("5c", 64),
	} {
		d, err := peer.ParseDigest(s)
		require.NoError(t, err)
		assert.Equal(t, s, d.String())
		assert.Equal(t, strings.SplitN(s, ":", 2)[0], d.Algorithm)
	}
	upper, err := peer.ParseDigest("sha256:" + strings.Repeat("AB", 32))
	require.NoError(t, err)
	lower, err := peer.ParseDigest("sha256:" + strings.Repeat("ab", 32))
	require.NoError(t, err)
	assert.Equal(t, lower, upper)
	for _, s := range []string{
		"", "sha256", "sha256:", ":", "md5:", strings.Repeat("0a", 32), "md5:" + strings.Repeat("0a", 16),
		"sha256:" + strings.Repeat("0a", 31), "sha256:" + strings.Repeat("0a", 33), "sha256:" + strings.Repeat("0g", 32),
		"fsverity-sha512:" + strings.Repeat("0a", 32),
	} {
		_, err := peer.ParseDigest(s)
		assert.ErrorIs(t, err, peer.ErrDigest, s)
	}
	assert.Empty(t, peer.Digest{}.String())
}

func TestVerityDigest(t *testing.T) {
	for _, row := range []struct {
		algorithm uint16 // FS_VERITY_HASH_ALG_*
		size      int
		want      string
	}{{1, 32, peer.VeritySHA256}, {2, 64, peer.VeritySHA512}, {1, 64, ""}, {2, 32, ""}, {3, 32, ""}, {0, 0, ""}} {
		sum := []byte(strings.Repeat("s", row.size))
		d, err := peer.VerityDigest(row.algorithm, sum)
		if row.want == "" {
			assert.ErrorIs(t, err, peer.ErrUnavailable, row)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, row.want, d.Algorithm)
		assert.Equal(t, sum, d.Sum())
	}
}

// FuzzParseDigest: what is accepted prints as what was read, but for case.
func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0a", 32))
	f.Add("fsverity-sha512:" + strings.Repeat("0A", 64))
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := peer.ParseDigest(s)
		if err != nil {
			require.ErrorIs(t, err, peer.ErrDigest)
			return
		}
		require.Equal(t, strings.ToLower(s), d.String())
		again, err := peer.ParseDigest(d.String())
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
