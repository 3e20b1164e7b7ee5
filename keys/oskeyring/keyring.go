// Package oskeyring keeps private keys in what the operating system has for
// secrets: the Secret Service (GNOME Keyring, KWallet, KeePassXC) on Linux, over
// D-Bus, and the Keychain on Darwin, by /usr/bin/security.
//
// It is a module of its own, so that programs which keep keys in files do not
// depend on D-Bus. Choose it for programs that people run on their desktops;
// services have no unlocked key ring, and use keys.FileStore.
//
// What it guarantees: the secret leaves this process only for the key ring. What it
// does not: on both systems any program of the same user may be able to read what
// another one stored, depending on the desktop's settings.
package oskeyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"

	"github.com/sealport/sealport/keys"
)

// DefaultService is the name under which the key ring files keys.
const DefaultService = "sealport"

// Store is a keys.Store in the operating system's key ring. The zero value is
// ready for use. Do not change the fields once it is used.
//
// A call may wait for the user to unlock the key ring. It looks at its context
// before that, not during: neither D-Bus prompts nor the Keychain's can be taken
// back. Where there is no key ring calls fail with errors.ErrUnsupported or an
// error of D-Bus.
type Store struct {
	// Service groups the keys in the key ring; "" stands for DefaultService.
	Service string
}

var _ keys.Store = (*Store)(nil)

func (s *Store) service() string {
	if s.Service == "" {
		return DefaultService
	}
	return s.Service
}

// Load implements keys.Store. It fails with keys.ErrMalformedKey if the key ring has
// something else under that name.
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

// Save implements keys.Store. Key rings can't create without overwriting: of two
// processes that save under one name at the same moment one may lose its key.
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

// Replace implements keys.Store.
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

// Delete implements keys.Store.
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

// translate puts the key ring's errors into words of package keys.
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
