package rendezvous

import (
	"errors"
	"fmt"
	"io/fs"
)

var (
	// ErrName means that a string is not the name of an endpoint.
	ErrName = errors.New("invalid endpoint name")

	// ErrInUse means that a living host serves the endpoint.
	ErrInUse = errors.New("endpoint in use")

	// ErrNotFound means that no host serves the endpoint.
	ErrNotFound = fmt.Errorf("no host at this endpoint: %w", fs.ErrNotExist)

	// ErrPermission means that this process may not serve or reach the endpoint.
	ErrPermission = fmt.Errorf("endpoint: %w", fs.ErrPermission)

	// ErrNotEndpoint means that something else is where the endpoint should be:
	// a plain file, or a socket that does not speak sealport.
	ErrNotEndpoint = errors.New("not a sealport endpoint")

	// ErrUnsafeFolder means that others could tamper with the folder of the
	// endpoints.
	ErrUnsafeFolder = errors.New("unsafe endpoint folder")

	// ErrSetup means that the peer broke the rules while the connection was
	// being set up.
	ErrSetup = errors.New("connection set-up failed")
)

// MaxName is the length of an endpoint's name in bytes; Darwin's bootstrap
// names have the same limit (BOOTSTRAP_MAX_NAME_LEN is 128 with its NUL).
const MaxName = 127

// CheckName returns ErrName, with the reason, unless name is 1 to 127 bytes of
// [A-Za-z0-9._-] that begin with a letter or digit.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: it is empty; use a reverse-DNS name such as com.example.service", ErrName)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrName, len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("%w: %q has %q at byte %d; letters, digits and . _ - are allowed, the first a letter or digit", ErrName, name, c, i)
		}
	}
	return nil
}

// Options are how an endpoint is served or reached.
type Options struct {
	// Folder holds the endpoints; "" is the default of the user. Linux only.
	Folder string

	// Shared lets other users connect; without it the folder and the socket are
	// the owner's alone. Hosts on Linux only.
	Shared bool

	// Attested asks for a carrier on which each frame carries its sender's
	// credentials.
	Attested bool

	// BufferSize is the size in bytes of each direction's buffer: a power of
	// two. 0 leaves it to the other side, or is DefaultBufferSize.
	BufferSize int

	// PollThreshold: see ringlink.Options.
	PollThreshold int
}

// DefaultBufferSize is the size in bytes of each direction's buffer where neither
// side asks for another: within the L2 cache of today's machines.
const DefaultBufferSize = 256 << 10
