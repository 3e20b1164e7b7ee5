package secure

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/transport"
)

// Defaults of Config.
const (
	DefaultRekeyInterval       = 10 * time.Minute
	DefaultRehandshakeInterval = time.Hour
	DefaultMaxHalfOpen         = 128
	DefaultMaxHalfOpenPerUser  = 32
)

// Config is how a secure Host, Client, Listener or Conn is made. Key and Trust
// are required for the default pattern; nothing here has an insecure default.
type Config struct {
	// Transport is what plain endpoints have too: peer policy, logger, sizes.
	Transport transport.Config

	// Key is this side's static key: its identity. Clients of pattern NK and
	// both sides of NN have none.
	Key keys.PrivateKey

	// NextKey is a second key of a host in rotation: clients that expect it are
	// served by it, all others by Key. See docs/HANDSHAKE.md, "Rotating a host's key".
	NextKey keys.PrivateKey

	// Trust decides on the peer's static key. A host lists its clients
	// (keys.Allow, keys.OpenAllowFile), a client pins its host (keys.Pin) or
	// remembers it (keys.TrustOnFirstUse). When a Trust learns that a key is no
	// longer good, connections with it end with ErrRevoked; a Trust that is a
	// keys.Watcher, such as a file, is watched while there are connections.
	Trust keys.Trust

	// Pattern is the Noise pattern: handshake.XX unless set. It must be the same
	// on both sides.
	Pattern handshake.Pattern

	// AllowAnonymous lets clients without a key use pattern NK beside those of
	// Pattern. Hosts only.
	AllowAnonymous bool

	// PSK is a secret that both sides have, in addition to their keys. Required
	// for pattern NN, where it is the only authentication.
	PSK keys.PresharedKey

	// Classical leaves ML-KEM-768 out of the handshake, for the sake of other
	// implementations: recorded traffic then falls to whoever can break X25519
	// one day. It must be the same on both sides.
	Classical bool

	// RekeyInterval is after which time, at the next message, a direction's key
	// is replaced by the next of its chain; also after 4 GiB or 4 Mi records.
	// Default 10 minutes.
	RekeyInterval time.Duration

	// RehandshakeInterval is after which time a client begins a whole new
	// handshake within the connection, messages going on meanwhile: at least a
	// second, since hosts take no more. Default one hour; -1: never. A host follows. It takes somebody who receives on the
	// host's side; a client's side does without.
	RehandshakeInterval time.Duration

	// MaxHalfOpen and MaxHalfOpenPerUser bound the handshakes that a host has
	// under way; more wait for their turn, up to Transport.HandshakeTimeout.
	// Defaults 128 and 32.
	MaxHalfOpen        int
	MaxHalfOpenPerUser int

	// SkipInProcessEncryption lets a client and a host within one process talk
	// by function calls, as in package transport, after both keys have been
	// checked; a key that is revoked later does not end that. If one side only
	// sets it, or neither, they use the kernel and seal everything, like any
	// others.
	SkipInProcessEncryption bool
}

// resolve checks a Config and fills in defaults.
func (c *Config) resolve(role handshake.Role) (*upgrader, *transport.Config, error) {
	var s Config
	if c != nil {
		s = *c
	}
	if err := s.check(role); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", transport.ErrConfig, err)
	}
	setDefault(&s.RekeyInterval, DefaultRekeyInterval)
	setDefault(&s.RehandshakeInterval, DefaultRehandshakeInterval)
	setDefault(&s.MaxHalfOpen, DefaultMaxHalfOpen)
	setDefault(&s.MaxHalfOpenPerUser, min(DefaultMaxHalfOpenPerUser, s.MaxHalfOpen))
	t := s.Transport
	if !s.SkipInProcessEncryption {
		t.NoInProcess = true
	}
	return newUpgrader(s, role), &t, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) check(role handshake.Role) error {
	host := role == handshake.Responder
	side := map[bool]string{true: "host", false: "client"}[host]
	anonymous := c.Pattern == handshake.NN || c.Pattern == handshake.NK && !host
	switch {
	case c.Pattern > handshake.NN:
		return fmt.Errorf("pattern %v does not exist", c.Pattern)
	case !anonymous && c.Key.IsZero():
		return fmt.Errorf("a %s needs a Key for pattern %v; see keys.LoadOrGenerate", side, c.Pattern)
	case anonymous && !c.Key.IsZero():
		return fmt.Errorf("a %s has no Key in pattern %v", side, c.Pattern)
	case c.Pattern == handshake.NN && c.PSK.IsZero():
		return errors.New("pattern NN without a PSK would let everybody in")
	case c.Pattern == handshake.NN && c.Trust != nil:
		return errors.New("Trust without keys to judge: pattern NN has none")
	case c.AllowAnonymous && (!host || c.Pattern == handshake.NN):
		return errors.New("AllowAnonymous is for hosts that have a key")
	case !host && !c.NextKey.IsZero():
		return errors.New("NextKey is for hosts")
	case !c.NextKey.IsZero() && c.Key.IsZero():
		return errors.New("NextKey without Key")
	case c.RekeyInterval < 0 || c.RehandshakeInterval < -1 || c.MaxHalfOpen < 0 || c.MaxHalfOpenPerUser < 0:
		return errors.New("negative interval or limit")
	case c.RehandshakeInterval > 0 && c.RehandshakeInterval < rehandshakeEvery:
		return fmt.Errorf("RehandshakeInterval below %v: hosts take no more than one each", rehandshakeEvery)
	case c.SkipInProcessEncryption && c.Transport.NoInProcess:
		return errors.New("SkipInProcessEncryption and Transport.NoInProcess contradict")
	case c.Pattern == handshake.NN:
		return nil
	case host:
		return c.checkHostTrust()
	}
	return c.checkClientTrust()
}

func (c *Config) checkHostTrust() error {
	if c.Pattern == handshake.NK {
		if !c.AllowAnonymous {
			return errors.New("pattern NK lets everybody in whom the peer policy lets in; say AllowAnonymous if you mean it")
		}
		if c.Trust != nil {
			return errors.New("Trust without keys to judge: clients have none in pattern NK")
		}
		return nil
	}
	if c.Trust == nil {
		return errors.New("a host needs Trust: which client keys may talk to it? See keys.Allow and keys.OpenAllowFile")
	}
	return nil
}

func (c *Config) checkClientTrust() error {
	if c.Trust == nil {
		return errors.New("a client needs Trust: which host key does it expect? See keys.Pin and keys.TrustOnFirstUse")
	}
	if pinned, ok := c.Trust.(*keys.Pinned); ok {
		expected := pinned.Expected("")
		if len(expected) == 0 || slices.ContainsFunc(expected, keys.PublicKey.IsZero) {
			return errors.New("Trust is keys.Pin of no key, or of an empty one")
		}
	}
	if _, ok := c.Trust.(keys.Expecter); !ok && c.Pattern != handshake.XX {
		return fmt.Errorf("pattern %v needs the host's key beforehand; use keys.Pin, or pattern XX", c.Pattern)
	}
	return nil
}
