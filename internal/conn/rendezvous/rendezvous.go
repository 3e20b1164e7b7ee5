package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
)

var (
	// ErrName means that a string is not the name of an endpoint.
	ErrName = errors.New("invalid endpoint name")

	// ErrInUse means that a living host serves the endpoint.
	ErrInUse = errors.New("endpoint in use")

	// ErrNotFound means that no host serves the endpoint.
	ErrNotFound error = &also{"no host at this endpoint", fs.ErrNotExist}

	// ErrPermission means that this process may not serve or reach the endpoint.
	ErrPermission error = &also{"permission denied", fs.ErrPermission}

	// ErrNotEndpoint means that something else is where the endpoint should be:
	// a plain file, or a socket that does not speak sealport.
	ErrNotEndpoint = errors.New("not a sealport endpoint")

	// ErrUnsafeDir means that other users could tamper with the directory of the
	// endpoints.
	ErrUnsafeDir = errors.New("unsafe endpoint directory")
)

// Listener serves one endpoint.
type Listener interface {
	// Accept waits for the next client. It returns os.ErrClosed after Close;
	// other errors, such as too many open files, pass.
	Accept() (Incoming, error)

	// Watch waits until the endpoint's name no longer leads to this listener, takes
	// the name again if nobody has it, and returns a *LostError with what came of it.
	// One goroutine calls it, again for the next, unless LostError.Ended. It returns
	// os.ErrClosed after Close, and at once if the name cannot be lost, or is not this
	// listener's.
	Watch() error

	// Close ends Accept and Watch and gives the endpoint up.
	Close() error
}

// Incoming is a client that has connected and waits to be accepted or refused. It
// is used by one goroutine. Accept, Refuse and Close end it, on error too.
type Incoming interface {
	// From is the process that has connected, by what the kernel says before the
	// hello. It need not be the one that says hello, and is no identity: see
	// Credentials. It may be called when the Incoming has ended.
	From() fair.Process

	// Hello waits for the client's hello, until ctx ends, and returns it. After
	// an error for which IsExhausted is true, Refuse can still be called.
	Hello(ctx context.Context) ([]byte, error)

	// Credentials are the kernel's on the sender of the hello. They stay owned
	// by the Incoming, and by the Link after Accept.
	Credentials() *cred.Credentials

	// Accept answers with this side's hello and makes the link. After an error
	// for which IsExhausted is true the client has no answer yet, and Refuse can
	// still be called.
	Accept(ctx context.Context, hello []byte) (link.Link, error)

	// Refuse answers with a hello that says why.
	Refuse(ctx context.Context, hello []byte) error

	// Close gives no answer.
	Close() error
}

// Outgoing is a host's answer to a client's hello. It is used by one goroutine.
// Link and Close end it, on error too.
type Outgoing interface {
	// Hello is the host's.
	Hello() []byte

	// Accepted reports whether the host made a link; else its hello says why
	// not.
	Accepted() bool

	// Credentials are the kernel's on the sender of the answer. They stay owned
	// by the Outgoing, and by the Link after Link.
	Credentials() *cred.Credentials

	// Link makes the link.
	Link() (link.Link, error)

	// Close makes none.
	Close() error
}

// Carrier is how endpoints are served and found.
type Carrier interface {
	// Listen serves an endpoint. It does not block for long.
	Listen(endpoint string, o Options) (Listener, error)

	// Dial finds the host of an endpoint, sends the hello and waits for the
	// answer, until ctx ends.
	Dial(ctx context.Context, endpoint string, hello []byte, o Options) (Outgoing, error)

	// Self is what a peer finds in this process's hello, or nil where package
	// peer knows it by itself.
	Self() (*cred.Credentials, error)
}

// also is an error that answers errors.Is for another one too, without its text.
type also struct {
	text string
	is   error
}

func (e *also) Error() string { return e.text }
func (e *also) Unwrap() error { return e.is }

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
			r, _ := utf8.DecodeRuneInString(name[i:])
			return fmt.Errorf("%w: %q has %q at byte %d; it must consist of letters, digits, '.', '_' and '-', and begin with a letter or digit", ErrName, name, r, i)
		}
	}
	return nil
}

// Options are how an endpoint is served or reached.
type Options struct {
	// Dir holds the endpoints; "" is the default of the user. Linux only.
	Dir string

	// Fallback is told the directory that is used, if Dir is "" and that of
	// XDG_RUNTIME_DIR is not this process's, and why not: at each Listen and Dial. Linux
	// only; it may be nil.
	Fallback func(dir, reason string)

	// Shared lets other users connect; without it only the owner can. Set Dir with it,
	// such as to SharedDir. Hosts on Linux only.
	Shared bool

	// Attested asks for a carrier on which each frame carries its sender's
	// credentials.
	Attested bool

	// BufferSize is the size in bytes of each direction's buffer: a power of
	// two. 0 is DefaultBufferSize. The smaller value of both sides is used, and a
	// client refuses a larger one. Linux only.
	BufferSize int

	// PollThreshold: see ring.Options. Linux only.
	PollThreshold int

	// MakeRoom is called when a client waits to be accepted and there is no
	// descriptor for it. It returns true if it has had some closed. Hosts on Linux only;
	// it may be nil.
	MakeRoom func() bool

	// NoMemory is called for each client that gets a socket instead of shared memory, or a
	// socket without counts, because this process could not make a memory file, with the
	// reason. Hosts on Linux only; it may be nil.
	NoMemory func(error)
}

// DefaultBufferSize is the size in bytes of each direction's buffer if
// Options.BufferSize is 0: within the L2 cache of today's machines.
const DefaultBufferSize = 256 << 10
