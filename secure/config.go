package secure

import (
	"time"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/transport"
)

// Defaults of [Config].
const (
	DefaultRekeyInterval       = 10 * time.Minute
	DefaultRehandshakeInterval = time.Hour
	DefaultMaxHalfOpen         = 128
	DefaultMaxHalfOpenPerUser  = 32
)

// Config configures a secure host, client, listener or connection. The default
// pattern requires Key and Trust; no field has an insecure default.
//
// A constructor reads the Config once and does not change it. Settings that
// contradict each other, and settings that the role does not use, are refused
// with [transport.ErrConfig].
type Config struct {
	// Transport holds the settings that plain endpoints have too, such as the
	// peer policy, the logger and sizes. A client refuses the host's settings:
	// OnError, Shared, MaxConnections, ReceiverPriority and LogThroughput.
	Transport transport.Config

	// Key is this side's static key, its identity. It must be zero for clients
	// with pattern NK and for both sides with NN.
	Key keys.PrivateKey

	// NextKey is a host's second key while it rotates its key: clients that
	// expect NextKey are served with it, all others with Key. See "Rotating a
	// host's key" in docs/HANDSHAKE.md. Hosts only. The zero value means none.
	NextKey keys.PrivateKey

	// Trust authorizes the peer's static key. A host lists its clients
	// ([keys.Allow], [keys.OpenAllowFile]); a client pins its host ([keys.Pin])
	// or remembers it ([keys.TrustOnFirstUse]). When Trust revokes a key, its
	// connections end with [ErrRevoked] on this side. While there are connections,
	// this package runs the Watch of a [keys.Watcher], such as a file. A file that
	// cannot be used any more, because a line is wrong, is reported once for each
	// change, to Transport.Logger and Transport.OnError, whose error answers
	// [keys.ErrTrustFile]: until it is corrected no new peer is accepted, and no
	// connection is revoked. Without connections the next client that connects has
	// it reported.
	//
	// A host that refuses a client's key logs the whole key to Transport.Logger,
	// with the file that it is missing from.
	Trust keys.Trust

	// Pattern is the Noise pattern. Both sides must use the same one. The zero
	// value is [handshake.XX].
	Pattern handshake.Pattern

	// AllowAnonymous additionally accepts clients without a key, which use
	// pattern NK. Hosts only.
	AllowAnonymous bool

	// PSK is a secret that both sides share, in addition to their keys. Pattern
	// NN requires it, as its only authentication. The zero value means none.
	PSK keys.PresharedKey

	// Classical leaves ML-KEM-768 out of the handshake, for interoperability
	// with other implementations. Recorded traffic can then be decrypted once
	// X25519 is broken. Both sides must use the same value.
	Classical bool

	// RekeyInterval is the age at which a direction's key is replaced by the
	// next one of its chain, before the next message. A key is also replaced
	// after 4 GiB or 4 Mi records. The default is 10 minutes.
	RekeyInterval time.Duration

	// RehandshakeInterval is the time between two rehandshakes: complete
	// handshakes within the connection, while messages continue. It is at least
	// one second, which is the rate that hosts accept; -1 disables rehandshakes.
	// A rehandshake needs the host to receive, but not the client. The default
	// is one hour. Clients only: a host answers.
	RehandshakeInterval time.Duration

	// MaxHalfOpen and MaxHalfOpenPerUser limit the handshakes that a host has in
	// progress. Further clients wait, for at most Transport.HandshakeTimeout. A
	// handshake that has taken a quarter of Transport.HandshakeTimeout is dropped when a
	// user waits that has fewer, or a process of the same user that has fewer.
	// The defaults are 128 and 32. Hosts only.
	MaxHalfOpen        int
	MaxHalfOpenPerUser int

	// SkipInProcessEncryption connects a client and a host in one process in
	// memory, without encryption, as in package transport, after both keys have
	// been checked. Revoking a key later does not end such a connection. Both sides
	// must set it; otherwise they encrypt and use the kernel, like two processes.
	SkipInProcessEncryption bool
}

// resolve checks a Config and fills in defaults.
func (c *Config) resolve(role handshake.Role) (*security, *transport.Config, error) {
	var s Config
	if c != nil {
		s = *c
	}
	if err := s.check(role); err != nil {
		return nil, nil, err
	}
	setDefault(&s.RekeyInterval, DefaultRekeyInterval)
	setDefault(&s.RehandshakeInterval, DefaultRehandshakeInterval)
	setDefault(&s.MaxHalfOpen, DefaultMaxHalfOpen)
	setDefault(&s.MaxHalfOpenPerUser, min(DefaultMaxHalfOpenPerUser, s.MaxHalfOpen))
	t := s.Transport
	if !s.SkipInProcessEncryption {
		t.NoInProcess = true
	}
	return newSecurity(s, role), &t, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
