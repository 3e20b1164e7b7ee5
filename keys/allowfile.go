package keys

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// DefaultWatchInterval is how often Watch looks at the file if it is not told
// otherwise: one stat(2) each time, so a removed key lives on for a second.
const DefaultWatchInterval = time.Second

// AllowFile trusts the keys listed in a file, at any endpoint, and follows the
// file while it is used. Make one with OpenAllowFile.
//
// A line is a public key and, after a space, whatever helps people; empty lines
// and lines that begin with "#" are skipped:
//
//	# who may talk to the greeter
//	sealport1… alice, laptop
//	sealport1… bob
//
// Adding or removing a line needs no restart. Verify looks at the file's state
// each time (one stat), so a change holds for the next handshake. Connections
// that live are told by Watch, or by Reload. Replace the file by a rename, as most
// editors do, so that nobody sees half of it; a file that is gone trusts nobody,
// and one that can't be understood admits nobody new and ends nothing.
type AllowFile struct {
	file trustFile
}

var (
	_ Trust   = (*AllowFile)(nil)
	_ Watcher = (*AllowFile)(nil)
)

// OpenAllowFile reads an allow-list. It blocks on the disk. Errors: ErrTrustFile
// if a line is no key, or if the file is missing, too large or writable by others
// (ErrInsecureFile).
func OpenAllowFile(path string) (*AllowFile, error) {
	path, err := filepath.Abs(path) // whatever the working directory will be
	if err != nil {
		return nil, err
	}
	f := &AllowFile{file: trustFile{path: path, parse: parseAllowLine}}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	// Gone later is a decision; missing from the start is a wrong path.
	if f.file.stamp.IsZero() {
		return nil, fmt.Errorf("%w: %s is missing", ErrTrustFile, path)
	}
	return f, nil
}

func parseAllowLine(line string) (string, PublicKey, error) {
	key, err := ParsePublicKey(strings.Fields(line)[0])
	return "", key, err
}

// Verify returns nil for a key that is in the file now, else an [*UntrustedError]
// with the file's path, or [ErrTrustFile] if the file can't be used. It blocks on
// the disk.
func (f *AllowFile) Verify(_ context.Context, _ string, key PublicKey) error {
	f.file.mu.Lock()
	revoked := f.file.refreshLocked()
	err := f.file.err
	if err == nil && !f.file.validLocked("", key) {
		err = &UntrustedError{Key: key, File: f.file.path}
	}
	f.file.mu.Unlock()
	callAll(revoked)
	return err
}

// OnRevoke implements Trust: removal of the key's line is noticed by Verify,
// Reload and Watch, whoever comes first.
func (f *AllowFile) OnRevoke(_ string, key PublicKey, revoked func()) (cancel func()) {
	return f.file.subs.add(&f.file.mu, f.file.validLocked, "", key, revoked)
}

// Reload reads the file now and calls those whose keys are gone before it
// returns. It blocks on the disk. After an error live connections keep the keys
// from before, and Verify repeats the error until the file has been mended.
func (f *AllowFile) Reload() error { return f.file.reload() }

// Watch implements Watcher: it reloads the file when it changed.
func (f *AllowFile) Watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	return f.file.watch(ctx, interval, failed)
}
