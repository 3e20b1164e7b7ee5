package peer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Algorithms of a Digest.
const (
	// SHA256 is of the whole file, as sha256sum(1) prints it.
	SHA256 = "sha256"

	// VeritySHA256 and VeritySHA512 are fs-verity's digests of a file, as
	// "fsverity measure" prints them: the kernel guards the file's contents by
	// them and tells them at once. Linux only.
	VeritySHA256 = "fsverity-sha256"
	VeritySHA512 = "fsverity-sha512"
)

// ErrDigest means that a text is not a digest.
var ErrDigest = errors.New("malformed digest")

// Digest is the digest of an executable's contents. It is comparable.
type Digest struct {
	Algorithm string // SHA256, VeritySHA256 or VeritySHA512
	sum       string // raw bytes, in a string to be comparable
}

// digestSize is the length of each algorithm's sum in bytes.
var digestSize = map[string]int{SHA256: 32, VeritySHA256: 32, VeritySHA512: 64}

// ParseDigest reads "sha256:…", "fsverity-sha256:…" or "fsverity-sha512:…" with
// the sum in hexadecimal digits. Errors: ErrDigest.
func ParseDigest(s string) (Digest, error) {
	algorithm, digits, ok := strings.Cut(s, ":")
	size, known := digestSize[algorithm]
	if !ok || !known || len(digits) != 2*size {
		return Digest{}, fmt.Errorf("%w: want algorithm:hex, algorithm one of %s, %s, %s", ErrDigest, SHA256, VeritySHA256, VeritySHA512)
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return Digest{}, fmt.Errorf("%w: not hexadecimal", ErrDigest)
	}
	return Digest{algorithm, string(sum)}, nil
}

// Sum returns the raw digest. The slice is the caller's.
func (d Digest) Sum() []byte { return bytes.Clone([]byte(d.sum)) }

// String returns what ParseDigest reads, in lower case; "" for the zero Digest.
func (d Digest) String() string {
	if d.Algorithm == "" {
		return ""
	}
	return d.Algorithm + ":" + hex.EncodeToString([]byte(d.sum))
}

// Hash algorithm numbers of fs-verity, from linux/fsverity.h.
const (
	fsVerityHashSHA256 = 1
	fsVerityHashSHA512 = 2
)

func verityDigest(algorithm uint16, sum []byte) (Digest, error) {
	name := map[uint16]string{fsVerityHashSHA256: VeritySHA256, fsVerityHashSHA512: VeritySHA512}[algorithm]
	if name == "" || len(sum) != digestSize[name] {
		return Digest{}, fmt.Errorf("fs-verity algorithm %d with %d bytes: %w", algorithm, len(sum), ErrUnavailable)
	}
	return Digest{name, string(sum)}, nil
}
