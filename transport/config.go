package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport/internal/priority"
)

// Defaults of [Config]: 256 KiB, 64 MiB, 4,096, 5 seconds, and 200,000 messages per
// second, which is MachIPC's default.
const (
	DefaultBufferSize               = rendezvous.DefaultBufferSize
	DefaultMaxMessageSize           = 64 << 20
	DefaultMaxConnections           = 4096
	DefaultHandshakeTimeout         = 5 * time.Second
	DefaultHighPerformanceThreshold = ring.DefaultPollThreshold
)

// Limits in bytes: 16 KiB and 64 MiB for [Config.BufferSize], and 16 GiB for
// [Config.MaxMessageSize], or 1 GiB where an int has 32 bits.
const (
	MinBufferSize         = ring.MinSize
	MaxBufferSize         = ring.MaxSize
	LargestMaxMessageSize = min(1<<34, math.MaxInt/2+1)
)

// Config configures a [Host], [Client], [Listener] or [Conn]. A nil *Config and
// each zero field stand for the defaults. The constructor reads it once and does not
// change it; several constructors may use one Config. If a client sets a field that is
// for hosts only, the error is [ErrConfig].
type Config struct {
	// Peer decides, by kernel-verified identity, whether the other side is accepted:
	// a host checks each client that connects, and a client checks the host. The
	// default is [peer.Default]: the same user, or root.
	Peer peer.Policy

	// Logger logs what calls do not return: refused peers, connections that failed,
	// endpoints that were lost, reconnects, throughput. It never gets payloads. Clients that do not get in are
	// logged as OnError describes. By default nothing is logged.
	Logger *slog.Logger

	// OnError is called with each [*MessageError], [*ConnError] and [*EndpointError], and
	// with a [*ConnError] or [*peer.RefusedError] for clients that do not get in: in sequence
	// for one connection, concurrently for several. It must not block, and not call Close or
	// Shutdown, which wait for it: start a goroutine for that. Of the clients of
	// one user that do not get in it gets the first 8, and after that one
	// [*OmittedError] every 10 seconds, with their number, until there were none for 10
	// seconds. Users beyond the first 64 share one such count. A secure host also passes
	// errors of its trust file, see [keys.Watcher]. Hosts only: a client's calls
	// return its errors. By default errors are only logged.
	OnError func(error)

	// Dir is the directory of endpoints on Linux. Both sides must use the same one. It
	// must be an absolute path. A host creates it if it does not exist. It must belong to
	// the host's user, and be writable by nobody else. Its parent must exist and belong
	// to root or this user, and be writable by no others, except by the process's own
	// group, or if it has the sticky bit, as /tmp has.
	//
	// The default is $XDG_RUNTIME_DIR/sealport, or, if that variable is not set, or does
	// not name an existing directory of the process's effective user, /run/sealport
	// for root and /tmp/sealport-UID for other users. Logger logs the latter, with the
	// reason, at level Debug if the variable is not set. A directory there that belongs to another user is not used: the error is
	// [ErrUnsafeDir], with that user's id. The default of a host with Shared is another one.
	//
	// On Darwin endpoints are names that launchd manages, and constructors return
	// [errors.ErrUnsupported] if Dir is set.
	Dir string

	// Shared lets other users connect to a host, and only Peer, whose default accepts no
	// other user but root, decides which ones it accepts. Hosts only. By default only
	// processes of the host's user, and root, can connect: the socket has mode 0600, and
	// a directory that the host creates 0700.
	//
	// With Shared the socket has mode 0666, and a directory that the host creates 0755. The
	// mode of a directory that exists is not changed: if it, or one above it, keeps all
	// other users out, the error is [ErrPermission]. Logger logs if Shared is set without
	// Peer. Endpoints with and without Shared may be in one directory. The default of Dir
	// is /run/sealport-shared for root and /tmp/sealport-shared-UID for other users, where
	// UID is the host's.
	// Clients, of the same user too, set Dir to the host's directory:
	//
	//	transport.Config{Shared: true, Peer: peer.Anyone()}                  // a host of root's
	//	transport.Config{Dir: "/run/sealport-shared", Peer: peer.Root()}     // its clients
	//
	// On Darwin Shared changes nothing: launchd decides which processes can look a name
	// up, and Peer which ones are accepted.
	Shared bool

	// BufferSize is the size in bytes of each direction's ring in shared
	// memory, a power of two from [MinBufferSize] to [MaxBufferSize]. The smaller
	// value of the two sides is used, so a larger ring than the default must be set
	// on both; a client refuses a host that answers with a larger one than it has
	// asked for. The default is 256 KiB. On each side a connection uses at most twice this, plus about 100 KiB, plus the memory for a
	// message in fragments (at most twice MaxMessageSize).
	BufferSize int

	// MaxMessageSize is the size in bytes of the largest message to send or
	// receive. The default is 64 MiB.
	MaxMessageSize int

	// MaxConnections is how many clients a host serves at a time; others get [ErrBusy].
	// Clients count that Peer has accepted: those that it has not yet, or that have not
	// sent their hello, have limits of their own (1,024 of one user, and 4,096 in total,
	// or fewer if RLIMIT_NOFILE is low). Hosts only. The default is 4,096. On Linux a client
	// takes up to 4 descriptors of the host: a host whose limit (RLIMIT_NOFILE) is lower
	// than that logs a warning when it begins to serve, and one that has none left for a
	// client does not start: the error is [ErrExhausted].
	MaxConnections int

	// HandshakeTimeout limits the set-up of a connection: a host drops a client
	// that takes longer, or that takes more than 3 seconds to send its hello, and a
	// client gives up. The default is 5 seconds.
	HandshakeTimeout time.Duration

	// Attested makes the kernel verify the sender of each frame, and ends a
	// connection when the sender changes: a peer cannot pass its connection on to
	// another process, and a peer that changes its user or group ids must connect
	// again. It replaces shared memory by a socket and costs about 1 to 3 µs per
	// frame. It applies if either side sets it, and always on Darwin. It contradicts
	// BufferSize and HighPerformanceThreshold, which are about shared memory.
	Attested bool

	// HighPerformanceThreshold is the rate in messages per second from which a
	// receiver polls longer before it sleeps. The default is 200,000. With -1
	// receivers never poll, which costs throughput and saves CPU.
	HighPerformanceThreshold int

	// ReceiverPriority is the priority of the threads on which a host receives.
	// Hosts only. The default is the priority of the process.
	ReceiverPriority Priority

	// LogThroughput makes a host log messages and bytes per second, for each second
	// in which it received any. Hosts only. It requires a Logger.
	LogThroughput bool

	// NoInProcess makes a client and a host within one process use the kernel,
	// like two processes. Without it, a client whose host is in the same process
	// and has the same Dir is connected to it in memory; policies, limits, order,
	// blocking, errors and encoding are the same.
	NoInProcess bool

	// Carrier serves and finds endpoints. The default is the operating system's; only
	// packages of this module have others.
	Carrier rendezvous.Carrier

	// Security makes connections secure. The constructors of package secure set it.
	Security conn.Security
}

// Priority is a scheduling priority.
type Priority int

// The priorities. On Linux the thread's nice value is the process's, 10 or -10; High
// needs CAP_SYS_NICE or RLIMIT_NICE, otherwise constructors return [ErrPermission]. On
// Darwin the thread's quality of service is the default, utility or user-interactive.
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
	log         *slog.Logger
	defaultPeer bool // Peer was nil
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
	if s.Dir != "" {
		s.Dir = filepath.Clean(s.Dir) // both sides compare it
	}
	setDefault(&s.MaxMessageSize, DefaultMaxMessageSize)
	setDefault(&s.MaxConnections, DefaultMaxConnections)
	setDefault(&s.HandshakeTimeout, DefaultHandshakeTimeout)
	if s.Peer == nil {
		s.defaultPeer = true
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
		if s.Shared && s.Dir == "" {
			s.Dir = rendezvous.SharedDir()
		}
	}
	return s, nil
}

// checkClient refuses settings that a client does not use.
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
			return fmt.Errorf("%s is for hosts; a client does not use it", f.name)
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
		return fmt.Errorf("BufferSize is %d; it must be a power of two from %d to %d", s.BufferSize, MinBufferSize, MaxBufferSize)
	case s.MaxMessageSize < 0 || s.MaxMessageSize > LargestMaxMessageSize:
		return fmt.Errorf("MaxMessageSize is %d; it must be from 1 to %d", s.MaxMessageSize, int64(LargestMaxMessageSize))
	case s.MaxConnections < 0:
		return fmt.Errorf("MaxConnections is %d; it must not be negative", s.MaxConnections)
	case s.HandshakeTimeout < 0:
		return fmt.Errorf("HandshakeTimeout is %v; it must not be negative", s.HandshakeTimeout)
	case s.HighPerformanceThreshold < -1:
		return fmt.Errorf("HighPerformanceThreshold is %d; it must be -1 or more", s.HighPerformanceThreshold)
	case s.ReceiverPriority < PriorityDefault || s.ReceiverPriority > PriorityHigh:
		return fmt.Errorf("ReceiverPriority %d does not exist", s.ReceiverPriority)
	case s.Attested && s.BufferSize != 0:
		return errors.New("Attested and BufferSize contradict each other: attested connections have no shared memory")
	case s.Attested && s.HighPerformanceThreshold != 0:
		return errors.New("Attested and HighPerformanceThreshold contradict each other: only shared memory is polled")
	case s.LogThroughput && s.Logger == nil:
		return errors.New("LogThroughput needs a Logger")
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
			Fallback:      s.logFallback(),
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

// logFallback returns what logs that endpoints are not in XDG_RUNTIME_DIR, and why: once,
// although a client that reconnects finds out again and again.
func (s *settings) logFallback() func(dir, reason string) {
	var last atomic.Value
	return func(dir, reason string) {
		if what := [2]string{dir, reason}; last.Swap(what) != what {
			level := slog.LevelInfo
			if os.Getenv("XDG_RUNTIME_DIR") == "" {
				level = slog.LevelDebug // as for every service
			}
			s.log.Log(context.Background(), level, "the directory of endpoints is not that of XDG_RUNTIME_DIR", "dir", dir, "reason", reason)
		}
	}
}

// reportConn reports a connection that failed, or that ended without the peer's Close.
// id may be nil.
func (s *settings) reportConn(endpoint string, id *peer.Identity, err error) {
	var omitted *conn.OmittedError
	var refused *peer.RefusedError
	var untrusted *keys.UntrustedError
	var lost *rendezvous.LostError
	switch {
	case errors.As(err, &lost):
		err = &EndpointError{Endpoint: endpoint, Ended: lost.Ended, Served: lost.Err == nil, Err: lost}
		s.logLost(endpoint, lost)
	case errors.As(err, &omitted):
		err = &OmittedError{UID: omitted.UID, Others: omitted.Others, Count: omitted.Count, Err: omitted.Err}
		whose := slog.Uint64("uid", uint64(omitted.UID))
		if omitted.Others { // not root, whose uid is zero
			whose = slog.Bool("others", true)
		}
		s.log.Warn("clients refused or failed, not logged one by one",
			"endpoint", endpoint, whose, "count", omitted.Count, "last", omitted.Err)
	case errors.As(err, &refused):
		err = refused
		s.log.Warn("peer refused", "endpoint", endpoint, "peer", id, "rule", refused.Rule, "token", refused.Token.String(), "reason", refused.Reason)
	case errors.As(err, &untrusted):
		// The whole key, as a trust file takes it.
		err = &ConnError{Peer: id, Err: err}
		s.log.Warn("client key refused", "endpoint", endpoint, "key", untrusted.Key.String(), "file", untrusted.File, "peer", id)
	default:
		s.log.Warn("connection failed", "endpoint", endpoint, "peer", id, "err", err)
		err = &ConnError{Peer: id, Err: err}
	}
	if s.OnError != nil {
		s.OnError(err)
	}
}

// logLost logs that an endpoint's name has led elsewhere.
func (s *settings) logLost(endpoint string, lost *rendezvous.LostError) {
	switch {
	case lost.Ended:
		s.log.Error("endpoint lost to another process; this host accepts no more clients",
			"endpoint", endpoint, "lost", lost.What, "err", lost.Err)
	case lost.Err != nil:
		s.log.Error("endpoint not served until its files can be made again", "endpoint", endpoint, "lost", lost.What, "err", lost.Err)
	default:
		s.log.Warn("endpoint's files were removed or replaced; recreated", "endpoint", endpoint, "lost", lost.What)
	}
}

// reportMessage reports a message that was lost.
func (s *settings) reportMessage(endpoint string, err *MessageError) {
	s.log.Warn("message not decoded", "endpoint", endpoint, "peer", err.Peer, "bytes", err.Size, "err", err.Err)
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
			s.log.Warn("receiver priority not set", "err", err)
		}
	}
	f()
}

// tryPriority returns an error if asReceiver cannot set the configured priority.
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
		return fmt.Errorf("%w: ReceiverPriority needs CAP_SYS_NICE or RLIMIT_NICE: %w", ErrPermission, err)
	}
	return nil
}
