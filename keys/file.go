package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/sealport/sealport/keys/internal/safefile"
)

var (
	// ErrInsecureFile is returned for a key or trust file that another user
	// could have read or written, that is in a directory in which others can create
	// files, such as /tmp, or whose path leads through a directory or symbolic link
	// that another user could change. The text names the file,
	// directory or link, who can do what, and how to correct it. Nothing was read or
	// written.
	ErrInsecureFile = safefile.ErrInsecure

	// ErrNotDurable is returned if a file was written, replaced or deleted, and
	// everyone sees it so, but the disk did not confirm it: after a crash of the
	// system the file may be as it was before. All other errors of this package
	// that concern files mean that the file is unchanged.
	ErrNotDurable = safefile.ErrNotDurable

	// ErrKeyExists is returned instead of overwriting a key.
	ErrKeyExists = errors.New("keys: key already exists")

	// ErrKeyNotFound is returned where there is no key.
	ErrKeyNotFound = errors.New("keys: no such key")
)

// maxKeyFile is the largest key file, in bytes: a key, its public half and some
// comments.
const maxKeyFile = 16 << 10

// SaveFile writes a new key file with mode 0600, atomically. Its directory must have
// mode 0700 and is created if it is missing. With a passphrase the key is locked as
// by [Lock]; passphrase is not kept. SaveFile blocks on the disk and, with a
// passphrase, for as long as Lock takes.
//
// It fails with [ErrKeyExists] if the file exists, [ErrInsecureFile] if others have
// access to the directory or can replace it, [ErrNoKey] for the zero key,
// [errors.ErrUnsupported] if the file system cannot create a file without replacing one
// that exists, or another error of the file system. After an error there is no new key
// file, except after [ErrNotDurable].
//
// A SaveFile that is killed may leave a temporary file with the key in the directory,
// with mode 0600. The next SaveFile for the same path removes it.
func SaveFile(path string, k PrivateKey, passphrase []byte) error {
	if err := checkFIPS(); err != nil {
		return err
	}
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
	path = filepath.Clean(path) // "key/" is a file in the directory above
	if err := safefile.MkdirPrivate(filepath.Dir(path)); err != nil {
		return step("preparing the directory of the key file", err)
	}
	content := []byte("# A secret key of sealport. Anyone who can read this file can act as its owner.\n# public key: " +
		k.Public().String() + "\n" + text + "\n")
	defer clear(content)
	err := safefile.Write(path, content, 0o600, replace)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrKeyExists, path)
	}
	if err != nil {
		return step("writing key file", err)
	}
	return nil
}

// LoadFile reads a key file. If the key is locked, it calls passphrase, which may be
// nil, and clears the slice that it returns. LoadFile blocks on the disk, on
// passphrase, and for as long as [Unlock] takes.
//
// The file must belong to root or the user of this process, and be closed to others,
// with mode 0600 or 0400. There are two exceptions: a file of root may be readable by
// the effective group of this process, if it does not run as root, as service managers
// make it; and others may read it as accepted says. Who else is in that group is not
// checked. On Linux, access control lists count as well.
//
// It fails with [ErrKeyNotFound], [ErrInsecureFile], [ErrMalformedKey],
// [ErrLockedKey] if the key is locked and passphrase is nil, [ErrPassphrase] for a
// wrong passphrase, the error of passphrase, or an error of the file system. A
// [*TextError] says where the file has a character that does not belong there.
func LoadFile(path string, passphrase func() ([]byte, error), accepted ...Access) (PrivateKey, error) {
	if err := checkFIPS(); err != nil {
		return PrivateKey{}, err
	}
	content, _, err := safefile.Read(path, maxKeyFile, safefile.Private, accesses(accepted)...)
	if errors.Is(err, fs.ErrNotExist) {
		return PrivateKey{}, fmt.Errorf("%w: %s", ErrKeyNotFound, path)
	}
	if err != nil {
		return PrivateKey{}, step("reading key file", err)
	}
	defer clear(content)
	k, err := parseKeyFile(content, passphrase)
	if err != nil {
		return PrivateKey{}, step("reading key file "+path, err)
	}
	return k, nil
}

// parseKeyFile finds the one key among comments and empty lines.
func parseKeyFile(content []byte, passphrase func() ([]byte, error)) (PrivateKey, error) {
	var text string
	for line, err := range textLines(content, math.MaxInt) {
		switch {
		case err != nil:
			return PrivateKey{}, err
		case len(line.fields) == 0:
		case text != "":
			return PrivateKey{}, fmt.Errorf("%w: line %d: more than one key in the file", ErrMalformedKey, line.number)
		default:
			text = strings.Trim(line.text, " \t")
		}
	}
	if text == "" {
		return PrivateKey{}, fmt.Errorf("%w: no key in the file", ErrMalformedKey)
	}
	if !IsLocked(text) {
		return ParsePrivateKey(text)
	}
	if passphrase == nil {
		return PrivateKey{}, ErrLockedKey
	}
	secret, err := passphrase()
	defer clear(secret)
	if err != nil {
		return PrivateKey{}, step("asking for the passphrase", err)
	}
	return Unlock(text, secret)
}
