package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/upgrade"
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
// Config.MaxMessageSize 16 GiB.
const (
	MinBufferSize         = ring.MinSize
	MaxBufferSize         = ring.MaxSize
	LargestMaxMessageSize = 1 << 34
)

// Config is how a Host, Client, Listener or Conn is made. A nil *Config and each
// zero field stand for the default. It is read once, by the constructor.
type Config struct {
	// Peer decides by its kernel identity whether the other side may talk to
	// us: a client when it connects, a host when a client has found it. The
	// default is peer.Default: the same user, or root.
	Peer peer.Policy

	// Logger is told what the caller can't see: refused peers, connections that
	// broke, reconnects, throughput. It never sees payloads. Default: silence.
	Logger *slog.Logger

	// OnError is called with each *MessageError and *ConnError, one after the
	// other per connection but concurrently for several. It must not block.
	// Default: they are only logged.
	OnError func(error)

	// Folder is where endpoints are on Linux. The default is
	// $XDG_RUNTIME_DIR/sealport, else /run/sealport for root, else
	// /tmp/sealport-UID. It must be an absolute path, and its parent must exist.
	// On Darwin endpoints are names of launchd's, and constructors return
	// errors.ErrUnsupported if it is set.
	Folder string

	// Shared lets other users reach a host: the folder becomes 0755 and the
	// socket 0666, and Peer alone decides. Hosts only. Default: the folder
	// is 0700 and the socket 0600. On Darwin it changes nothing: who can look a
	// name up is launchd's to say, and Peer decides.
	Shared bool

	// BufferSize is the size in bytes of each direction's ring in shared
	// memory, a power of two from MinBufferSize to MaxBufferSize. The smaller
	// wish of the two sides counts. Default 256 KiB. Memory per connection is at
	// most twice this, plus some 100 KiB, plus what a message in pieces takes
	// (at most twice MaxMessageSize), on each side.
	BufferSize int

	// MaxMessageSize is the size in bytes of the largest message to send or
	// receive. Default 64 MiB.
	MaxMessageSize int

	// MaxConnections is how many clients a host serves at a time, those that
	// are still being set up included; others get ErrBusy. Default 4,096.
	MaxConnections int

	// HandshakeTimeout bounds the set-up of a connection: a host drops a client
	// that takes longer, a client gives up. Default 5 seconds.
	HandshakeTimeout time.Duration

	// Attested has the kernel name the sender with each frame, and ends a
	// connection when that changes: a peer can't pass its connection on to
	// another process, and one that changes its user or group ids has to connect
	// again. It costs shared memory: some 1 to 3 µs per frame. Either side may
	// ask for it; on Darwin it is always so. Contradicts BufferSize and HighPerformanceThreshold,
	// which are about shared memory.
	Attested bool

	// HighPerformanceThreshold is the rate in messages per second from which a
	// receiver polls longer before it sleeps. Default 200,000; -1: receivers
	// never poll, which costs throughput and saves CPU.
	HighPerformanceThreshold int

	// ReceiverPriority is the priority of the threads on which a host receives.
	// Default: the process's.
	ReceiverPriority Priority

	// LogThroughput makes a host log messages and bytes per second, each second
	// in which there were any. Contradicts a nil Logger.
	LogThroughput bool

	// NoInProcess makes client and host within one process use the kernel like
	// any others. Without it a Client whose Host (of the same type of message)
	// is in the same process calls the handler directly.
	NoInProcess bool

	// upgrade makes connections secure; see package secure.
	upgrade upgrade.Upgrader
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

// settings are a checked Config with defaults filled in.
type settings struct {
	Config
	endpoint string // of a host
	log      *slog.Logger
}

// resolve checks a Config.
func (c *Config) resolve() (*settings, error) {
	s := &settings{}
	if c != nil {
		s.Config = *c
	}
	if err := s.check(); err != nil {
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
	return s, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (s *settings) check() error {
	switch {
	case s.Folder != "" && !filepath.IsAbs(s.Folder):
		return fmt.Errorf("Folder %q is not an absolute path", s.Folder)
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

func (s *settings) options() rendezvous.Options {
	return rendezvous.Options{
		Folder:        s.Folder,
		Shared:        s.Shared,
		Attested:      s.Attested,
		BufferSize:    s.BufferSize,
		PollThreshold: s.HighPerformanceThreshold,
	}
}

// hello is what this side says first.
func (s *settings) hello() message.Hello {
	mode := message.Plain
	if s.upgrade != nil {
		mode = message.Secure
	}
	return message.Hello{Version: message.Version, Mode: mode, MaxMessage: uint64(s.MaxMessageSize)}
}

// report logs an error that no call returns and gives it to OnError.
func (s *settings) report(err error) {
	if s.OnError != nil {
		s.OnError(err)
	}
	var refused *peer.RefusedError
	if errors.As(err, &refused) {
		s.log.Warn("peer refused", "rule", refused.Rule, "token", refused.Token.String(), "reason", refused.Reason)
		return
	}
	if s.reportKey(err) {
		return
	}
	s.log.Warn("connection error", "err", err)
}

// reportKey logs an error that is about a key which Trust does not list: the whole
// key, so that it can be added to the file. It reports whether err is one.
func (s *settings) reportKey(err error) bool {
	var conn *ConnError
	var unknown *keys.UntrustedError
	if !errors.As(err, &conn) || !errors.As(err, &unknown) {
		return false
	}
	s.log.Warn("client key refused", "endpoint", s.endpoint, "key", unknown.Key.String(), "file", unknown.File, "peer", conn.Peer.String())
	return true
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

// withTimeout bounds the set-up of a connection.
func (s *settings) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.HandshakeTimeout, fmt.Errorf("handshake took longer than %v: %w", s.HandshakeTimeout, context.DeadlineExceeded))
}
