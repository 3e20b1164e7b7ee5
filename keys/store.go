package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// Store stores private keys under names: in files ([FileStore]) or in a facility of
// the operating system. All methods may block, on the disk or on the user, until ctx
// ends, and may be called concurrently.
//
// A name has 1 to 127 characters, letters A to Z in both cases, digits, ".", "_" and
// "-", and begins with a letter or digit, like the name of an endpoint. For other
// names all methods return [ErrKeyName].
type Store interface {
	// Load returns the key, or [ErrKeyNotFound].
	Load(ctx context.Context, name string) (PrivateKey, error)
	// Save stores a new key. It fails with [ErrKeyExists] rather than overwrite
	// a key.
	Save(ctx context.Context, name string, k PrivateKey) error
	// Replace atomically replaces the key, which is the last step of a
	// rotation. It fails with [ErrKeyNotFound] if there is none.
	Replace(ctx context.Context, name string, k PrivateKey) error
	// Delete removes the key. It fails with [ErrKeyNotFound] if there is none.
	Delete(ctx context.Context, name string) error
}

// ErrKeyName is returned for an invalid name of a key or endpoint; see [Store].
var ErrKeyName = errors.New("keys: invalid name")

// maxName is the longest name of an endpoint in bytes, so that a key can have the
// name of its endpoint.
const maxName = 127

// CheckName returns [ErrKeyName] if name is not valid in a [Store], else nil. It is
// for implementations of Store.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return fmt.Errorf("%w: %d bytes, not 1 to %d", ErrKeyName, len(name), maxName)
	}
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return fmt.Errorf("%w: character %q at %d", ErrKeyName, c, i)
		}
	}
	return nil
}

// LoadOrGenerate returns the key of that name. If there is none, it generates and
// saves one. Processes that do so at the same time all get the same key. It blocks
// as s does, and fails with its errors.
func LoadOrGenerate(ctx context.Context, s Store, name string) (PrivateKey, error) {
	if err := checkFIPS(); err != nil {
		return PrivateKey{}, err
	}
	k, err := s.Load(ctx, name)
	if !errors.Is(err, ErrKeyNotFound) {
		return k, err
	}
	k = Generate()
	err = s.Save(ctx, name, k)
	if errors.Is(err, ErrKeyExists) { // another process was first
		return s.Load(ctx, name)
	}
	if err != nil {
		return PrivateKey{}, err
	}
	return k, nil
}

// DefaultDir returns the directory for keys and trust files by the conventions of
// the operating system: $XDG_CONFIG_HOME/sealport or ~/.config/sealport on Linux,
// ~/Library/Application Support/sealport on Darwin. It does not create the directory.
// It fails if the environment does not define the user's home directory, or that does not
// exist.
func DefaultDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", step("finding the default directory", err)
	}
	// Else root would create the whole path of a home directory that is mistyped or not
	// mounted.
	if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(dir, home+string(filepath.Separator)) {
		if _, err := os.Stat(home); err != nil {
			return "", step("finding the home directory", err)
		}
	}
	return filepath.Join(dir, "sealport"), nil
}

// FileStore is a [Store] of key files, "<name>.key". The zero value is ready to use.
// The fields must not be changed after the first call of a method.
type FileStore struct {
	// Dir is the directory; "" means "keys" in [DefaultDir]. It is created with
	// mode 0700 when the first key is saved.
	Dir string

	// Passphrase returns the passphrase for the key of that name. The store
	// clears the slice after use. It is called by Save and Replace, and by Load
	// for a locked key, perhaps concurrently. If nil, keys are saved unlocked,
	// protected by the file's mode only, and Load fails with [ErrLockedKey] for
	// a locked key.
	Passphrase func(ctx context.Context, name string) ([]byte, error)

	// Accepted is who else may read the key files; see [LoadFile]. Keys are saved
	// for this user only.
	Accepted []Access
}

var _ Store = (*FileStore)(nil)

// Path returns the path of the key file for name, which need not exist. It fails with
// [ErrKeyName], and as [DefaultDir] does.
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

// Load implements [Store]. It blocks and fails like [LoadFile].
func (s *FileStore) Load(ctx context.Context, name string) (PrivateKey, error) {
	path, err := s.Path(name)
	if err != nil {
		return PrivateKey{}, err
	}
	var ask func() ([]byte, error)
	if s.Passphrase != nil {
		ask = func() ([]byte, error) { return s.Passphrase(ctx, name) }
	}
	return LoadFile(path, ask, s.Accepted...)
}

// Save implements [Store]. It blocks and fails like [SaveFile], and fails with
// [ErrPassphrase] if FileStore.Passphrase returns an empty passphrase.
func (s *FileStore) Save(ctx context.Context, name string, k PrivateKey) error {
	return s.write(ctx, name, k, false)
}

// Replace implements [Store]. It blocks and fails like [FileStore.Save]. If the key file is
// a symbolic link, the file that it leads to is replaced. After an error the old key is
// still there, except after [ErrNotDurable].
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
	if err := checkFIPS(); err != nil {
		return err
	}
	path, err := s.Path(name)
	if err != nil {
		return err
	}
	var passphrase []byte
	if s.Passphrase != nil {
		passphrase, err = s.Passphrase(ctx, name)
		defer clear(passphrase)
		if err != nil {
			return step("asking for the passphrase", err)
		}
		if len(passphrase) == 0 {
			return errNoPassphrase
		}
	}
	return writeKeyFile(path, k, passphrase, replace)
}

// Delete implements [Store]. It deletes a symbolic link, not what it leads to. It blocks
// on the disk. It fails with [ErrKeyNotFound],
// [ErrInsecureFile] or an error of the file system. After an error the key is still
// there, except after [ErrNotDurable].
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
		return step("deleting key file", err)
	}
	return nil
}
