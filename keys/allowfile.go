package keys

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// DefaultWatchInterval is how often Watch looks at the file if the interval is 0.
// Each look is one stat(2). A removed key stays connected for up to this long.
const DefaultWatchInterval = time.Second

// AllowFile is a [Trust] in the keys listed in a file, at any endpoint. It follows
// changes of the file. Open one with [OpenAllowFile].
//
// A line is a public key, followed optionally by a space and a comment. Empty
// lines and lines that begin with "#" are skipped. The file is UTF-8 without a byte-order
// mark; characters that hide what it says are refused with a [*TextError]:
//
//	# clients of the greeter
//	sealport1… alice, laptop
//	sealport1… bob
//
// Changes need no restart. [AllowFile.Verify] checks each time whether the file has
// changed (one stat(2)), so a change applies to the next handshake. Existing
// connections end by [AllowFile.Watch], which package secure runs, or by
// [AllowFile.Reload].
//
// Replace the file by a rename, as most editors do, so that it is never seen half
// written. If the file is removed, no key is trusted. If it cannot be parsed, no
// new connection is accepted and existing connections stay.
type AllowFile struct {
	file trustFile
}

var (
	_ Trust   = (*AllowFile)(nil)
	_ Watcher = (*AllowFile)(nil)
)

// OpenAllowFile reads an allow file. It blocks on the disk.
//
// It fails with [ErrTrustFile] if the file is missing, too large (1 MiB) or has a
// line that is not a key, and with [ErrInsecureFile] too if others can write it.
func OpenAllowFile(path string) (*AllowFile, error) {
	path, err := filepath.Abs(path) // independent of later changes of directory
	if err != nil {
		return nil, step("opening allow file", err)
	}
	f := &AllowFile{file: trustFile{path: path, format: allowFormat}}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	// A file that is removed later trusts no key. One that is missing from the
	// start is a wrong path.
	if f.file.stamp.IsZero() {
		return nil, &trustFileError{path, fmt.Errorf("%w; create it: an empty file accepts no key", fs.ErrNotExist)}
	}
	return f, nil
}

var allowFormat = lineFormat{1, func(fields []string) (string, PublicKey, error) {
	key, err := ParsePublicKey(fields[0])
	return "", key, err
}}

// Verify returns nil if key is in the file now, else an [*UntrustedError] with the
// file's path. It returns [ErrTrustFile] if the file cannot be used, and an error that is
// neither if this process has no descriptors or memory to read it. It blocks on the disk.
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

// OnRevoke implements [Trust]. The removal of the key's line is noticed by the
// next call of Verify or Reload, or by Watch.
func (f *AllowFile) OnRevoke(_ string, key PublicKey, revoked func()) (cancel func()) {
	return f.file.subs.add(&f.file.mu, f.file.validLocked, "", key, revoked)
}

// Reload reads the file now and calls the subscribers of [AllowFile.OnRevoke] whose
// keys are gone before it returns. It blocks on the disk.
//
// It fails with [ErrTrustFile] if the file cannot be used. Then existing
// subscriptions stay, and Verify returns the error until the file is corrected.
func (f *AllowFile) Reload() error { return f.file.reload() }

// Watch implements [Watcher]: it reloads the file whenever it has changed. It blocks
// until ctx ends.
func (f *AllowFile) Watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	return f.file.watch(ctx, interval, failed)
}
