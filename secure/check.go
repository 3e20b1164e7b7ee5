package secure

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/fips"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/transport"
)

// check refuses what can't work, what contradicts itself, and what the role does
// not use, and a program that may not use this package's ciphers.
func (c *Config) check(role handshake.Role) error {
	if err := fips.Check(); err != nil {
		return fmt.Errorf("secure: %w", err)
	}
	host := role == handshake.Responder
	err := c.checkValues()
	if err == nil && host {
		err = c.checkHost()
	} else if err == nil {
		err = c.checkClient()
	}
	if err != nil {
		return fmt.Errorf("secure: %w: %w", transport.ErrConfig, err)
	}
	return nil
}

// checkValues checks what does not depend on the role.
func (c *Config) checkValues() error {
	switch {
	case c.Pattern > handshake.NN:
		return fmt.Errorf("pattern %v does not exist", c.Pattern)
	case c.Pattern == handshake.NN && !c.Key.IsZero():
		return errors.New("Key is set, but pattern NN has no keys; remove it or use pattern XX")
	case c.Pattern == handshake.NN && c.PSK.IsZero():
		return errors.New("pattern NN without a PSK accepts every peer; set PSK")
	case c.Pattern == handshake.NN && c.Trust != nil:
		return errors.New("Trust is set, but pattern NN has no keys to authorize; remove it or use pattern XX")
	case c.RekeyInterval < 0:
		return fmt.Errorf("RekeyInterval is %v; it must be positive", c.RekeyInterval)
	case c.Transport.Security != nil:
		return errors.New("Transport.Security is set; this package sets it")
	case c.SkipInProcessEncryption && c.Transport.NoInProcess:
		return errors.New("SkipInProcessEncryption and Transport.NoInProcess contradict each other")
	}
	return nil
}

func (c *Config) checkHost() error {
	switch {
	case c.RehandshakeInterval != 0:
		return errors.New("RehandshakeInterval is for clients: a host answers rehandshakes, but does not begin them")
	case c.MaxHalfOpen < 0:
		return fmt.Errorf("MaxHalfOpen is %d; it must not be negative", c.MaxHalfOpen)
	case c.MaxHalfOpenPerUser < 0:
		return fmt.Errorf("MaxHalfOpenPerUser is %d; it must not be negative", c.MaxHalfOpenPerUser)
	case c.Pattern == handshake.NN && (c.AllowAnonymous || !c.NextKey.IsZero()):
		return errors.New("AllowAnonymous and NextKey are for hosts with a key; pattern NN has none")
	case c.Pattern == handshake.NN:
		return nil
	case c.Key.IsZero():
		return fmt.Errorf("a host needs a Key for pattern %v; see keys.LoadOrGenerate", c.Pattern)
	case c.Pattern == handshake.NK && !c.AllowAnonymous:
		return errors.New("pattern NK accepts every client that the peer policy accepts; set AllowAnonymous to allow this")
	case c.Pattern == handshake.NK && c.Trust != nil:
		return errors.New("Trust is set, but clients have no keys to authorize in pattern NK")
	case learns(c.Trust):
		return errors.New("Trust learns keys at their first use, which is for clients; a host lists its clients: use keys.Allow or keys.OpenAllowFile")
	case c.Pattern != handshake.NK && c.Trust == nil:
		return errors.New("a host needs Trust to list the keys of its clients; see keys.Allow and keys.OpenAllowFile")
	}
	return nil
}

func learns(t keys.Trust) bool {
	_, ok := t.(keys.Learner)
	return ok
}

func (c *Config) checkClient() error {
	if err := c.checkClientRole(); err != nil {
		return err
	}
	switch {
	case c.RehandshakeInterval < -1:
		return fmt.Errorf("RehandshakeInterval is %v; it must be -1 or positive", c.RehandshakeInterval)
	case c.RehandshakeInterval > 0 && c.RehandshakeInterval < rehandshakeEvery:
		return fmt.Errorf("RehandshakeInterval is %v; hosts accept no more than one rehandshake every %v", c.RehandshakeInterval, rehandshakeEvery)
	case c.Pattern == handshake.NN:
		return nil
	case c.Pattern == handshake.NK && !c.Key.IsZero():
		return errors.New("Key is set, but a client has none in pattern NK; remove it or use pattern XX")
	case c.Pattern != handshake.NK && c.Key.IsZero():
		return fmt.Errorf("a client needs a Key for pattern %v; see keys.LoadOrGenerate", c.Pattern)
	case c.Trust == nil:
		return errors.New("a client needs Trust to say which host key it expects; see keys.Pin and keys.TrustOnFirstUse")
	}
	if pinned, ok := c.Trust.(*keys.Pinned); ok {
		expected := pinned.Expected("")
		if len(expected) == 0 || slices.ContainsFunc(expected, keys.PublicKey.IsZero) {
			return errors.New("Trust is a keys.Pin without a key, or with an empty one")
		}
	}
	if _, ok := c.Trust.(keys.Expecter); !ok && c.Pattern != handshake.XX {
		return fmt.Errorf("pattern %v needs the host's key in advance; use keys.Pin, or pattern XX", c.Pattern)
	}
	return nil
}

// checkClientRole refuses the settings that only hosts use. Package transport does
// so for its own.
func (c *Config) checkClientRole() error {
	for _, setting := range []struct {
		name string
		set  bool
	}{
		{"NextKey", !c.NextKey.IsZero()},
		{"AllowAnonymous", c.AllowAnonymous},
		{"MaxHalfOpen", c.MaxHalfOpen != 0},
		{"MaxHalfOpenPerUser", c.MaxHalfOpenPerUser != 0},
	} {
		if setting.set {
			return fmt.Errorf("%s is for hosts; a client does not use it", setting.name)
		}
	}
	return nil
}
