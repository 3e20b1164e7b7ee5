package peer_test

import (
	"testing"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

// BenchmarkConnect is what a host pays for each connection before it accepts:
// the identity, the policy, and the end of the identity.
func BenchmarkConnect(b *testing.B) {
	c := benchmarkHello(b)
	exe := benchmarkProgram(b, c)
	digest := benchmarkDigest(b, c)
	for _, row := range []struct {
		name   string
		policy peer.Policy
	}{
		{"identify", nil},
		{"default", peer.Default()},
		{"executable", peer.AllOf(peer.Default(), peer.Executable(exe))},
		{"groups", peer.AllOf(peer.Default(), peer.AnyOf(peer.GIDs(4711), peer.Anyone()))},
		{"descendant", peer.Descendant()},
		{"known-digest", peer.ExecutableDigest(digest)},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id, err := peer.Identify(c)
				if err != nil {
					b.Fatal(err)
				}
				if row.policy != nil {
					if err := peer.Check(b.Context(), row.policy, id); err != nil {
						b.Fatal(err)
					}
				}
				if err := id.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchmarkHello receives the hello of another process, which stays.
func benchmarkHello(b *testing.B) *cred.Credentials {
	b.Helper()
	s := newSite(b)
	child := pidfdtest.Start(b, nil)
	child.Do("dial", s.path)
	child.Do("hello")
	return s.receive()
}

func benchmarkProgram(b *testing.B, c *cred.Credentials) string {
	b.Helper()
	exe, err := identify(b, c).Executable()
	if err != nil {
		b.Fatal(err)
	}
	return exe.Path
}

func benchmarkDigest(b *testing.B, c *cred.Credentials) peer.Digest {
	b.Helper()
	d, err := identify(b, c).Digest(b.Context(), peer.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	return d
}
