package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// Store keeps private keys under names: files (FileStore), or what an operating
// system has for it. All methods may block, on the disk or on the user, until
// ctx ends, and may be called concurrently.
//
// A name is 1 to 127 bytes of [A-Za-z0-9._-] and starts with a letter or digit,
// like an endpoint. Other names are ErrKeyName.
type Store interface {
	// Load returns the key, or ErrKeyNotFound.
	Load(ctx context.Context, name string) (PrivateKey, error)
	// Save stores a new key. It fails with ErrKeyExists rather than lose one.
	Save(ctx context.Context, name string, k PrivateKey) error
	// Replace stores a key in the place of one that is there, in one step: the
	// last act of a rotation. It fails with ErrKeyNotFound if there is none.
	Replace(ctx context.Context, name string, k PrivateKey) error
	// Delete removes a key, or fails with ErrKeyNotFound.
	Delete(ctx context.Context, name string) error
}

// ErrKeyName is returned for a name that a Store can't have.
var ErrKeyName = errors.New("keys: bad key name")

// maxName is the length of an endpoint's name in bytes, so that a key can be
// called after the endpoint it is for.
const maxName = 127

// CheckName returns ErrKeyName unless name is one that a Store can have. It is
// for those who implement Store.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return fmt.Errorf("%w: %d bytes, not 1 to %d", ErrKeyName, len(name), maxName)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return fmt.Errorf("%w: character %q at %d", ErrKeyName, c, i)
		}
	}
	return nil
}

// LoadOrGenerate returns the key of that name, and makes and saves one if there
// is none. Of processes that do so at the same time all get the same key.
func LoadOrGenerate(ctx context.Context, s Store, name string) (PrivateKey, error) {
	k, err := s.Load(ctx, name)
	if !errors.Is(err, ErrKeyNotFound) {
		return k, err
	}
	k = Generate()
	err = s.Save(ctx, name, k)
	if errors.Is(err, ErrKeyExists) { // another process was faster
		return s.Load(ctx, name)
	}
	if err != nil {
		return PrivateKey{}, err
	}
	return k, nil
}

// DefaultDir returns the folder for keys and trust files by the conventions of
// the system: $XDG_CONFIG_HOME/sealport or ~/.config/sealport on Linux,
// ~/Library/Application Support/sealport on Darwin. It does not make it.
func DefaultDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("keys: default folder: %w", err)
	}
	return filepath.Join(dir, "sealport"), nil
}

// FileStore is a Store of key files, one per name, "<name>.key". The zero value
// is ready for use. Do not change the fields once it is used.
type FileStore struct {
	// Dir is the folder; "" stands for "keys" in DefaultDir. It is made with
	// mode 0700 when the first key is saved.
	Dir string

	// Passphrase returns the passphrase for the key of that name; the store
	// clears it after use. It is called for each Save and Replace, and for a
	// Load that meets a locked key. nil: keys are saved as they are, protected
	// by the file's mode, and locked keys are ErrLockedKey.
	Passphrase func(ctx context.Context, name string) ([]byte, error)
}

var _ Store = (*FileStore)(nil)

// Path returns the file in which the key of that name is, or would be.
func (s *FileStore) Path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	dir := s.Dir
	if dir == "" {
		base, err := DefaultDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "keys")
	}
	return filepath.Join(dir, name+".key"), nil
}

// Load implements Store. Further errors are those of LoadFile.
func (s *FileStore) Load(ctx context.Context, name string) (PrivateKey, error) {
	path, err := s.Path(name)
	if err != nil {
		return PrivateKey{}, err
	}
	var ask func() ([]byte, error)
	if s.Passphrase != nil {
		ask = func() ([]byte, error) { return s.Passphrase(ctx, name) }
	}
	return LoadFile(path, ask)
}

// Save implements Store. Further errors are those of SaveFile.
func (s *FileStore) Save(ctx context.Context, name string, k PrivateKey) error {
	return s.write(ctx, name, k, false)
}

// Replace implements Store. Further errors are those of SaveFile.
func (s *FileStore) Replace(ctx context.Context, name string, k PrivateKey) error {
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrKeyNotFound, path)
	}
	return s.write(ctx, name, k, true)
}

func (s *FileStore) write(ctx context.Context, name string, k PrivateKey, replace bool) error {
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	var passphrase []byte
	if s.Passphrase != nil {
		passphrase, err = s.Passphrase(ctx, name)
		if err != nil {
			return fmt.Errorf("keys: asking for the passphrase: %w", err)
		}
		defer clear(passphrase)
		if len(passphrase) == 0 {
			return fmt.Errorf("%w: it is empty", ErrPassphrase)
		}
	}
	return writeKeyFile(path, k, passphrase, replace)
}

// Delete implements Store.
func (s *FileStore) Delete(_ context.Context, name string) error {
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	err = safefile.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrKeyNotFound, path)
	}
	if err != nil {
		return fmt.Errorf("keys: deleting key file: %w", err)
	}
	return nil
}
