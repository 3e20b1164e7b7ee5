package keys

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sealport/sealport/keys/internal/safefile"
)

var (
	// ErrInsecureFile is returned for a key or trust file that another user
	// could have read or written, or whose path leads through something that
	// another user could change. The error's text names what is at fault and
	// how to mend it. Nothing was read or written.
	ErrInsecureFile = safefile.ErrInsecure

	// ErrKeyExists is returned instead of overwriting a key.
	ErrKeyExists = errors.New("keys: there is a key already")

	// ErrKeyNotFound is returned where no key is.
	ErrKeyNotFound = errors.New("keys: no such key")
)

// maxKeyFile bounds a key file, in bytes: a key, its public half and some
// comments.
const maxKeyFile = 16 << 10

// SaveFile writes a new key file with mode 0600, in one step, in a folder with
// mode 0700, which it makes if it is missing. With a passphrase the key is locked
// (see Lock). It blocks on the disk and is safe for concurrent use.
//
// Errors: ErrKeyExists if something is there already, ErrInsecureFile if others
// could get at it, ErrNoKey; else those of the file system. After an error
// nothing has changed.
func SaveFile(path string, k PrivateKey, passphrase []byte) error {
	return writeKeyFile(path, k, passphrase, false)
}

func writeKeyFile(path string, k PrivateKey, passphrase []byte, replace bool) error {
	if k.IsZero() {
		return ErrNoKey
	}
	text := k.RevealSecretText()
	if len(passphrase) > 0 {
		locked, err := Lock(k, passphrase)
		if err != nil {
			return err
		}
		text = locked
	}
	if err := safefile.MkdirPrivate(filepath.Dir(path)); err != nil {
		return fmt.Errorf("keys: folder of the key file: %w", err)
	}
	content := []byte("# A secret key of sealport. Whoever reads this file can be you.\n# public key: " +
		k.Public().String() + "\n" + text + "\n")
	defer clear(content)
	err := safefile.Write(path, content, 0o600, replace)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrKeyExists, path)
	}
	if err != nil {
		return fmt.Errorf("keys: writing key file: %w", err)
	}
	return nil
}

// LoadFile reads a key file. It calls passphrase, which may be nil, only if the
// key is locked, and clears what that returns. It blocks on the disk and on
// passphrase, and is safe for concurrent use.
//
// Errors: ErrKeyNotFound, ErrInsecureFile, ErrMalformedKey, ErrLockedKey if
// passphrase is nil and needed, ErrPassphrase, or the error of passphrase.
func LoadFile(path string, passphrase func() ([]byte, error)) (PrivateKey, error) {
	content, _, err := safefile.Read(path, maxKeyFile, safefile.Private)
	if errors.Is(err, fs.ErrNotExist) {
		return PrivateKey{}, fmt.Errorf("%w: %s", ErrKeyNotFound, path)
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("keys: reading key file: %w", err)
	}
	defer clear(content)
	k, err := parseKeyFile(content, passphrase)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// parseKeyFile finds the one key among comments and empty lines.
func parseKeyFile(content []byte, passphrase func() ([]byte, error)) (PrivateKey, error) {
	var text string
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case text != "":
			return PrivateKey{}, fmt.Errorf("%w: more than one key in the file", ErrMalformedKey)
		default:
			text = line
		}
	}
	if err := lines.Err(); err != nil || text == "" {
		return PrivateKey{}, fmt.Errorf("%w: no key in the file", ErrMalformedKey)
	}
	if !IsLocked(text) {
		return ParsePrivateKey(text)
	}
	if passphrase == nil {
		return PrivateKey{}, ErrLockedKey
	}
	secret, err := passphrase()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("keys: asking for the passphrase: %w", err)
	}
	defer clear(secret)
	return Unlock(text, secret)
}
