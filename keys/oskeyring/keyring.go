// Package oskeyring stores private keys in the operating system's key ring: the
// Secret Service (GNOME Keyring, KWallet, KeePassXC) on Linux, over D-Bus, and the
// Keychain on Darwin, by /usr/bin/security.
//
// It is a module of its own, so that programs that store keys in files do not depend
// on D-Bus. Use it for programs that people run on their desktops. Services have no
// unlocked key ring; use [keys.FileStore] for them.
//
// The secret leaves this process only for the key ring. It is not protected from
// other programs of the same user: depending on the desktop's settings they can read
// the key ring too.
package oskeyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"

	"github.com/sealport/sealport/keys"
)

// DefaultService is the service name of keys in the key ring.
const DefaultService = "sealport"

// Store is a [keys.Store] in the operating system's key ring. The zero value is ready
// to use. The fields must not be changed after the first call of a method. All methods
// may be called concurrently.
//
// A call blocks until the user has unlocked the key ring. It checks its context before
// that, not during: the prompts of neither system can be cancelled. If there is no key
// ring, calls fail with [errors.ErrUnsupported] or an error of D-Bus. For an invalid
// name they fail with [keys.ErrKeyName].
type Store struct {
	// Service groups the keys in the key ring; "" means [DefaultService].
	Service string
}

var _ keys.Store = (*Store)(nil)

func (s *Store) service() string {
	if s.Service == "" {
		return DefaultService
	}
	return s.Service
}

// Load implements [keys.Store]. It fails with [keys.ErrKeyNotFound], and with
// [keys.ErrMalformedKey] if the key ring has something else under that name.
func (s *Store) Load(ctx context.Context, name string) (keys.PrivateKey, error) {
	if err := begin(ctx, name); err != nil {
		return keys.PrivateKey{}, err
	}
	text, err := keyring.Get(s.service(), name)
	if err != nil {
		return keys.PrivateKey{}, translate("reading", name, err)
	}
	return keys.ParsePrivateKey(text)
}

// Save implements [keys.Store]. It fails with [keys.ErrKeyExists] and, for the zero
// key, [keys.ErrNoKey]. Key rings cannot create an entry without overwriting one: if
// two processes save under one name at the same time, one of the keys may be lost.
func (s *Store) Save(ctx context.Context, name string, k keys.PrivateKey) error {
	if err := begin(ctx, name); err != nil {
		return err
	}
	switch _, err := keyring.Get(s.service(), name); {
	case err == nil:
		return fmt.Errorf("%w: %s in the key ring", keys.ErrKeyExists, name)
	case !errors.Is(err, keyring.ErrNotFound):
		return translate("reading", name, err)
	}
	return s.set(name, k)
}

// Replace implements [keys.Store]. It fails with [keys.ErrKeyNotFound] and, for the
// zero key, [keys.ErrNoKey].
func (s *Store) Replace(ctx context.Context, name string, k keys.PrivateKey) error {
	if err := begin(ctx, name); err != nil {
		return err
	}
	if _, err := keyring.Get(s.service(), name); err != nil {
		return translate("reading", name, err)
	}
	return s.set(name, k)
}

func (s *Store) set(name string, k keys.PrivateKey) error {
	if k.IsZero() {
		return keys.ErrNoKey
	}
	return translate("writing", name, keyring.Set(s.service(), name, k.RevealSecretText()))
}

// Delete implements [keys.Store]. It fails with [keys.ErrKeyNotFound].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := begin(ctx, name); err != nil {
		return err
	}
	return translate("deleting", name, keyring.Delete(s.service(), name))
}

func begin(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return keys.CheckName(name)
}

// translate returns the error of package keys for an error of the key ring.
func translate(step, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return fmt.Errorf("%w: %s in the key ring", keys.ErrKeyNotFound, name)
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return fmt.Errorf("oskeyring: %w: %w", errors.ErrUnsupported, err)
	default:
		return fmt.Errorf("oskeyring: %s %s: %w", step, name, err)
	}
}
