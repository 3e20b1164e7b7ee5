package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sealport/sealport/peer/internal/filedigest"
)

// Algorithms of a Digest.
const (
	// SHA256 is of the whole file, as sha256sum(1) prints it.
	SHA256 = "sha256"

	// VeritySHA256 and VeritySHA512 are fs-verity's digests of a file, as
	// "fsverity measure" prints them: the kernel enforces them when the file is
	// read, and returns them at once. Linux only.
	VeritySHA256 = "fsverity-sha256"
	VeritySHA512 = "fsverity-sha512"
)

// ErrDigest means that a text is not a digest, or a Digest is zero.
var ErrDigest = errors.New("peer: malformed digest")

// Digest is the digest of an executable's contents. It is comparable. The zero
// Digest is that of nothing. Make one with [ParseDigest] or [Identity.Digest].
type Digest struct {
	Algorithm string // SHA256, VeritySHA256 or VeritySHA512
	sum       string // raw bytes, in a string to be comparable
}

// digestSize is the length of each algorithm's sum in bytes.
var digestSize = map[string]int{SHA256: 32, VeritySHA256: 32, VeritySHA512: 64}

// ParseDigest reads "sha256:…", "fsverity-sha256:…" or "fsverity-sha512:…" with
// the sum in hexadecimal digits of either case. It does not block, and may be called
// concurrently. Errors: [ErrDigest], with the zero Digest.
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

// String returns what [ParseDigest] reads, in lower case; "" for the zero Digest.
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
		return Digest{}, fmt.Errorf("%w: fs-verity algorithm %d with %d bytes", ErrUnavailable, algorithm, len(sum))
	}
	return Digest{name, string(sum)}, nil
}

// MaxExecutableSize is the size in bytes up to which an executable is read for
// its SHA-256: 512 MiB, well above the largest browsers, about a second on one core.
const MaxExecutableSize = 512 << 20

// digests is shared by all identities: 256 executables, about 25 kB; two are
// read at a time, so that peers with many different ones cannot take all cores.
var digests = filedigest.New(256, MaxExecutableSize, 2)

// Digest returns the digest of the file that the process runs, which must still
// be the one that [Identity.Executable] returns. Linux only. [SHA256] reads all of the
// file unless it was read before and its inode has not changed since; it blocks for that
// long, and while two others are being read, or until ctx ends. A file system that
// does not answer is waited for. The inode tells of changes only on ext2 to ext4, XFS and
// Btrfs, which are made to write to disk what was written before, and only for files that
// nobody but root and this user can write; all others, such as those on tmpfs and
// overlayfs, are read each time. fs-verity's digests cost two system calls.
//
// It is the digest of the file's contents now. The process has the same in memory
// only if nobody could write to the file since it was started.
//
// Errors: [ErrChanged]; [ErrGone]; [ErrUnavailable] for a file without an fs-verity
// digest of that algorithm, a file above [MaxExecutableSize], and one that we may
// not read; ctx.Err().
func (id *Identity) Digest(ctx context.Context, algorithm string) (Digest, error) {
	exe, err := id.Executable()
	if err != nil {
		return Digest{}, err
	}
	f, err := lookup(id, process.openExecutable)
	if err != nil {
		return Digest{}, err
	}
	defer f.Close()
	now, err := f.stat()
	if err != nil {
		return Digest{}, err
	}
	if now.Dev != exe.Dev || now.Ino != exe.Ino {
		return Digest{}, fmt.Errorf("%w: runs another file than %s", ErrChanged, printable(exe.Path))
	}
	return digestOf(ctx, f, algorithm)
}

func digestOf(ctx context.Context, f openFile, algorithm string) (Digest, error) {
	if algorithm == SHA256 {
		sum, err := digests.SHA256(ctx, keyed{f})
		switch {
		case err == nil:
			return Digest{SHA256, string(sum[:])}, nil
		case ctx.Err() != nil:
			return Digest{}, ctx.Err()
		case errors.Is(err, filedigest.ErrModified):
			return Digest{}, fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return Digest{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	d, err := f.verity()
	if err == nil && d.Algorithm != algorithm {
		err = fmt.Errorf("%w: digest %s: the file has a digest of algorithm %s", ErrUnavailable, algorithm, d.Algorithm)
	}
	if err != nil {
		return Digest{}, err
	}
	return d, nil
}

// keyed is an openFile as package filedigest sees it.
type keyed struct{ openFile }

func (k keyed) Key() (filedigest.Key, error) {
	e, err := k.stat()
	return filedigest.Key{Dev: e.Dev, Ino: e.Ino, Size: e.Size, Mtime: e.Mtime, Ctime: e.Ctime}, err
}

func (k keyed) Tracked() bool { return k.tracked() }
