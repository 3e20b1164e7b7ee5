package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport/internal/priority"
)

// Defaults of Config: 256 KiB, 64 MiB, 4,096, 5 seconds, and 200,000 messages per
// second, which is MachIPC's.
const (
	DefaultBufferSize               = rendezvous.DefaultBufferSize
	DefaultMaxMessageSize           = 64 << 20
	DefaultMaxConnections           = 4096
	DefaultHandshakeTimeout         = 5 * time.Second
	DefaultHighPerformanceThreshold = ring.DefaultPollThreshold
)

// Limits in bytes: of Config.BufferSize 16 KiB and 64 MiB, of
// Config.MaxMessageSize 16 GiB, or 1 GiB where an int has 32 bits.
const (
	MinBufferSize         = ring.MinSize
	MaxBufferSize         = ring.MaxSize
	LargestMaxMessageSize = min(1<<34, math.MaxInt/2+1)
)

// Config is how a [Host], [Client], [Listener] or [Conn] is made. A nil *Config and
// each zero field stand for the default. It is read once, by the constructor, and
// may be shared by several. A field that is for hosts only is [ErrConfig] for a
// client.
type Config struct {
	// Peer decides by its kernel-verified identity whether the other side is
	// admitted: a client when it connects, a host when a client has found it. The
	// default is [peer.Default]: the same user, or root.
	Peer peer.Policy

	// Logger is told what the caller can't see: refused peers, connections that
	// broke, reconnects, throughput. It never sees payloads. Default: silence.
	Logger *slog.Logger

	// OnError is called with each [*MessageError], [*ConnError] and
	// [*peer.RefusedError], one after the other per connection but concurrently for
	// several. It must not block. Hosts only: a client's calls return its errors.
	// Default: they are only logged.
	OnError func(error)

	// Dir is the directory of endpoints on Linux. The default is
	// $XDG_RUNTIME_DIR/sealport, else /run/sealport for root, else
	// /tmp/sealport-UID. It must be an absolute path, and its parent must exist.
	// On Darwin endpoints are names of launchd's, and constructors return
	// [errors.ErrUnsupported] if it is set.
	Dir string

	// Shared lets other users reach a host: the socket is 0666 and the directory,
	// if the host creates it, 0755, and Peer alone decides. The mode of a directory
	// that exists is checked and not changed. Hosts only. Default: the directory
	// is 0700 and the socket 0600. On Darwin it changes nothing: launchd decides
	// who can look a name up, and Peer decides who is admitted.
	Shared bool

	// BufferSize is the size in bytes of each direction's ring in shared
	// memory, a power of two from [MinBufferSize] to [MaxBufferSize]. The smaller
	// value of the two sides is used. Default 256 KiB. Memory per connection is at
	// most twice this, plus some 100 KiB, plus what a message in fragments takes
	// (at most twice MaxMessageSize), on each side.
	BufferSize int

	// MaxMessageSize is the size in bytes of the largest message to send or
	// receive. Default 64 MiB.
	MaxMessageSize int

	// MaxConnections is how many clients a host serves at a time, those included
	// that have said hello and are still being set up; others get [ErrBusy]. As
	// many again may be connected that have not said hello. Hosts only. Default
	// 4,096.
	MaxConnections int

	// HandshakeTimeout bounds the set-up of a connection: a host drops a client
	// that takes longer, a client gives up. Default 5 seconds.
	HandshakeTimeout time.Duration

	// Attested has the kernel name the sender with each frame, and ends a
	// connection when that changes: a peer can't pass its connection on to
	// another process, and one that changes its user or group ids has to connect
	// again. It takes the place of shared memory and costs some 1 to 3 µs per
	// frame. Either side may ask for it; on Darwin it is always so. Contradicts
	// BufferSize and HighPerformanceThreshold, which are about shared memory.
	Attested bool

	// HighPerformanceThreshold is the rate in messages per second from which a
	// receiver polls longer before it sleeps. Default 200,000; -1: receivers
	// never poll, which costs throughput and saves CPU.
	HighPerformanceThreshold int

	// ReceiverPriority is the priority of the threads on which a host receives.
	// Hosts only. Default: the process's.
	ReceiverPriority Priority

	// LogThroughput makes a host log messages and bytes per second, each second
	// in which there were any. Hosts only. Contradicts a nil Logger.
	LogThroughput bool

	// NoInProcess makes a client and a host within one process use the kernel
	// like any others. Without it, a client whose host is in the same process
	// and has the same Dir is connected to it in memory, under the same rules:
	// policies, limits, order, blocking and errors are the same, and so is the
	// encoding.
	NoInProcess bool

	// Carrier is how endpoints are served and found. Only packages of this module
	// have others than the operating system's, which is the default.
	Carrier rendezvous.Carrier

	// Security makes connections secure. The constructors of package secure set it.
	Security conn.Security
}

// Priority is a scheduling priority.
type Priority int

// The priorities. Linux: the thread's nice value is the process's, 10 or -10; High
// needs CAP_SYS_NICE or RLIMIT_NICE, else constructors return ErrPermission.
// Darwin: quality of service utility or user-interactive.
const (
	PriorityDefault Priority = iota
	PriorityLow
	PriorityHigh
)

var levelOf = map[Priority]priority.Level{PriorityLow: priority.Low, PriorityHigh: priority.High}

// role is the side of an endpoint.
type role bool

const (
	host   role = true
	client role = false
)

// settings are a checked Config with defaults filled in.
type settings struct {
	Config
	log *slog.Logger
}

// resolve checks a Config.
func (c *Config) resolve(r role) (*settings, error) {
	s := &settings{}
	if c != nil {
		s.Config = *c
	}
	var err error
	if r == client {
		err = s.checkClient()
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	setDefault(&s.MaxMessageSize, DefaultMaxMessageSize)
	setDefault(&s.MaxConnections, DefaultMaxConnections)
	setDefault(&s.HandshakeTimeout, DefaultHandshakeTimeout)
	if s.Peer == nil {
		s.Peer = peer.Default()
	}
	s.log = s.Logger
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.Carrier == nil {
		if s.Carrier, err = rendezvous.System(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// checkClient refuses what a client has no use for.
func (s *settings) checkClient() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"OnError", s.OnError != nil},
		{"Shared", s.Shared},
		{"MaxConnections", s.MaxConnections != 0},
		{"ReceiverPriority", s.ReceiverPriority != PriorityDefault},
		{"LogThroughput", s.LogThroughput},
	} {
		if f.set {
			return fmt.Errorf("%s is for hosts; a client has no use for it", f.name)
		}
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (s *settings) check() error {
	switch {
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return fmt.Errorf("Dir %q is not an absolute path", s.Dir)
	case s.BufferSize != 0 && !ring.ValidSize(s.BufferSize):
		return fmt.Errorf("BufferSize is %d, not a power of two from %d to %d", s.BufferSize, MinBufferSize, MaxBufferSize)
	case s.MaxMessageSize < 0 || s.MaxMessageSize > LargestMaxMessageSize:
		return fmt.Errorf("MaxMessageSize is %d, not from 1 to %d", s.MaxMessageSize, int64(LargestMaxMessageSize))
	case s.MaxConnections < 0:
		return fmt.Errorf("MaxConnections is %d", s.MaxConnections)
	case s.HandshakeTimeout < 0:
		return fmt.Errorf("HandshakeTimeout is %v", s.HandshakeTimeout)
	case s.HighPerformanceThreshold < -1:
		return fmt.Errorf("HighPerformanceThreshold is %d, not -1 or more", s.HighPerformanceThreshold)
	case s.ReceiverPriority < PriorityDefault || s.ReceiverPriority > PriorityHigh:
		return fmt.Errorf("ReceiverPriority %d does not exist", s.ReceiverPriority)
	case s.Attested && s.BufferSize != 0:
		return errors.New("Attested and BufferSize contradict: the buffer would be shared memory")
	case s.Attested && s.HighPerformanceThreshold != 0:
		return errors.New("Attested and HighPerformanceThreshold contradict: only shared memory is polled")
	case s.LogThroughput && s.Logger == nil:
		return errors.New("LogThroughput without a Logger")
	}
	if s.Peer != nil {
		return peer.Validate(s.Peer)
	}
	return nil
}

// engine is the configuration of the engine for messages of a content.
func (s *settings) engine(content string) *conn.Config {
	return &conn.Config{
		Carrier:  s.Carrier,
		Security: s.Security,
		Options: rendezvous.Options{
			Dir:           s.Dir,
			Shared:        s.Shared,
			Attested:      s.Attested,
			BufferSize:    s.BufferSize,
			PollThreshold: s.HighPerformanceThreshold,
		},
		Peer:             s.Peer,
		Content:          content,
		MaxMessageSize:   s.MaxMessageSize,
		MaxConnections:   s.MaxConnections,
		HandshakeTimeout: s.HandshakeTimeout,
		InProcess:        !s.NoInProcess,
		Closed:           func(reason string) error { return &CloseError{reason} },
	}
}

// reportConn reports a connection that ended otherwise than by the peer's Close, or
// was not made. id may be nil.
func (s *settings) reportConn(endpoint string, id *peer.Identity, err error) {
	var refused *peer.RefusedError
	var untrusted *keys.UntrustedError
	switch {
	case errors.As(err, &refused):
		err = refused
		s.log.Warn("peer refused", "endpoint", endpoint, "rule", refused.Rule, "token", refused.Token.String(), "reason", refused.Reason)
	case errors.As(err, &untrusted):
		// The whole key, as a trust file takes it.
		err = &ConnError{Peer: id, Err: err}
		s.log.Warn("client key refused", "endpoint", endpoint, "key", untrusted.Key.String(), "file", untrusted.File, "peer", id)
	default:
		err = &ConnError{Peer: id, Err: err}
		s.log.Warn("connection error", "endpoint", endpoint, "peer", id, "err", err)
	}
	if s.OnError != nil {
		s.OnError(err)
	}
}

// reportMessage reports a message that was lost.
func (s *settings) reportMessage(endpoint string, err *MessageError) {
	s.log.Warn("message error", "endpoint", endpoint, "peer", err.Peer, "bytes", err.Size, "err", err.Err)
	if s.OnError != nil {
		s.OnError(err)
	}
}

// asReceiver runs f on a thread of the configured priority.
func (s *settings) asReceiver(f func()) {
	if level, ok := levelOf[s.ReceiverPriority]; ok {
		// Never unlocked, so that the thread ends with the goroutine.
		runtime.LockOSThread()
		if err := priority.SetThread(level); err != nil {
			s.log.Warn("receiver priority", "err", err)
		}
	}
	f()
}

// tryPriority finds out whether asReceiver will be able to do what it should.
func (s *settings) tryPriority() error {
	level, ok := levelOf[s.ReceiverPriority]
	if !ok {
		return nil
	}
	tried := make(chan error)
	go func() {
		runtime.LockOSThread()
		tried <- priority.SetThread(level)
	}()
	if err := <-tried; err != nil {
		return fmt.Errorf("%w: ReceiverPriority: %w", ErrPermission, err)
	}
	return nil
}
