package peer

import "github.com/sealport/sealport/peer/internal/codesign"

// IdentifyToken is what Identify does on Darwin, with the kernel given.
func IdentifyToken(words [8]uint32, src codesign.Source) (*Identity, error) {
	return identifyToken(words, src)
}

// UnitOf finds the unit in a cgroup path.
var UnitOf = unitOf

// VerityDigest makes a Digest of what fs-verity measured.
var VerityDigest = verityDigest
