package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// ErrKeyChanged matches every *KeyChangedError.
var ErrKeyChanged = errors.New("keys: the host's key has changed")

// KeyChangedError means that the host at an endpoint has another key than the
// remembered one: it has a new key, or another program answers under its name.
// errors.Is holds for [ErrKeyChanged] and [ErrUntrusted], and errors.As finds an
// [*UntrustedError].
type KeyChangedError struct {
	Endpoint string
	Known    []PublicKey // the remembered keys
	Got      PublicKey   // the key that the host has proved to hold
	Path     string      // absolute path of the file of known hosts
}

// Error returns a deliberately prominent text, with the line that trusts the new key.
func (e *KeyChangedError) Error() string {
	known := make([]string, len(e.Known))
	for i, k := range e.Known {
		known[i] = k.Fingerprint()
	}
	return fmt.Sprintf("keys: THE KEY OF HOST %s HAS CHANGED from %s to %s: it has a new key, or another program answers under its name; "+
		"only if the host's owner confirms the new key, replace the old line in %s by: %s %v",
		e.Endpoint, strings.Join(known, " or "), e.Got.Fingerprint(), e.Path, e.Endpoint, e.Got)
}

// Unwrap returns [ErrKeyChanged] and an [*UntrustedError].
func (e *KeyChangedError) Unwrap() []error {
	return []error{ErrKeyChanged, &UntrustedError{Key: e.Got, File: e.Path}}
}

// KnownHosts is a [Trust] in the first key with which a handshake succeeds at each
// endpoint, which it remembers in a file. Open one with [TrustOnFirstUse].
//
// A line is an endpoint and a public key, followed optionally by a space and a
// comment. An endpoint may have several lines, one for each key that it may have:
//
//	com.example.greeter sealport1…
//
// Several processes may share a file. It keeps its group, and the users who can read it,
// when it is changed. Removing a line ends the connections to that host at the next
// [KnownHosts.Reload] or check of [KnownHosts.Watch], which package secure runs, and the
// next key at that endpoint is accepted as a first use.
type KnownHosts struct {
	file trustFile
}

var (
	_ Trust    = (*KnownHosts)(nil)
	_ Expecter = (*KnownHosts)(nil)
	_ Learner  = (*KnownHosts)(nil)
	_ Watcher  = (*KnownHosts)(nil)
)

// TrustOnFirstUse opens a file of known hosts. If the file does not exist, it is
// created at the first use; its directory is created now with mode 0700. There will
// be a lock file "<path>.lock" beside it. If path is a symbolic link, the file that it
// leads to is changed, and locked beside it. It blocks on the disk.
//
// It fails with [ErrTrustFile] if the file cannot be used, and with
// [ErrInsecureFile] too if others can write it or its directory.
func TrustOnFirstUse(path string) (*KnownHosts, error) {
	path, err := filepath.Abs(path) // independent of later changes of directory
	if err != nil {
		return nil, step("opening known hosts", err)
	}
	if _, err := os.Lstat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		if err := safefile.MkdirPrivate(filepath.Dir(path)); err != nil {
			return nil, step("creating the directory of known hosts", err)
		}
	}
	h := &KnownHosts{file: trustFile{path: path, format: knownFormat}}
	if err := h.Reload(); err != nil {
		return nil, err
	}
	return h, nil
}

var knownFormat = lineFormat{2, func(fields []string) (string, PublicKey, error) {
	if len(fields) < 2 {
		return "", PublicKey{}, fmt.Errorf("%w: the line needs an endpoint and a key", ErrMalformedKey)
	}
	if err := CheckName(fields[0]); err != nil {
		return "", PublicKey{}, err
	}
	key, err := ParsePublicKey(fields[1])
	return fields[0], key, err
}}

// Verify returns nil if key is remembered for endpoint, or no key is. It remembers
// nothing: see [KnownHosts.Learn].
//
// It returns a [*KeyChangedError] for another key, [ErrTrustFile] if the file cannot
// be used, [ErrKeyName] for an endpoint that is not a valid name, and an error of the
// system's if this process has no descriptors or memory to read the file. It blocks on
// the disk.
func (h *KnownHosts) Verify(_ context.Context, endpoint string, key PublicKey) error {
	known, err := h.check(endpoint, key)
	if known || err != nil {
		return err
	}
	return checkHost(endpoint, key)
}

// Learn implements [Learner]: if no key is remembered for endpoint, it remembers key.
//
// It returns the errors of [KnownHosts.Verify], and ctx's error or the file system's if
// key cannot be remembered. After [ErrNotDurable] it is remembered, but perhaps not after
// a crash of the system. It blocks on the disk and, for a first use, on other
// processes that write the file, until ctx ends.
func (h *KnownHosts) Learn(ctx context.Context, endpoint string, key PublicKey) error {
	known, err := h.check(endpoint, key)
	if known || err != nil {
		return err
	}
	return h.update(ctx, func(content []byte) ([]byte, error) {
		// Check again under the lock: another process may have been first.
		if known, err := h.checkLocked(endpoint, key); known || err != nil {
			return nil, err
		}
		return h.appendHost(content, endpoint, key)
	})
}

// check compares: known is false if endpoint is new.
func (h *KnownHosts) check(endpoint string, key PublicKey) (known bool, err error) {
	h.file.mu.Lock()
	revoked := h.file.refreshLocked()
	known, err = h.checkLocked(endpoint, key)
	h.file.mu.Unlock()
	callAll(revoked)
	return known, err
}

func (h *KnownHosts) checkLocked(endpoint string, key PublicKey) (known bool, err error) {
	switch keys := h.file.keys[endpoint]; {
	case h.file.err != nil:
		return false, h.file.err
	case keys == nil:
		return false, nil
	case !keys.has(key):
		return false, &KeyChangedError{Endpoint: endpoint, Known: keys.list(), Got: key, Path: h.file.path}
	default:
		return true, nil
	}
}

// Remember adds a key for endpoint to the remembered ones, for a host that has
// announced its next key. It blocks and fails like [KnownHosts.Learn].
func (h *KnownHosts) Remember(ctx context.Context, endpoint string, key PublicKey) error {
	return h.update(ctx, func(content []byte) ([]byte, error) {
		if h.file.validLocked(endpoint, key) {
			return nil, nil
		}
		return h.appendHost(content, endpoint, key)
	})
}

// Forget removes all keys of endpoint and calls their subscribers of
// [KnownHosts.OnRevoke], which ends connections to that host. The next key seen
// there is accepted. It blocks and fails like [KnownHosts.Learn].
func (h *KnownHosts) Forget(ctx context.Context, endpoint string) error {
	return h.update(ctx, func(content []byte) ([]byte, error) {
		if h.file.keys[endpoint] == nil {
			return nil, nil
		}
		return removeHost(content, endpoint), nil
	})
}

// removeHost returns content without the lines of an endpoint. It never returns nil,
// which would leave the file as it is.
func removeHost(content []byte, endpoint string) []byte {
	kept := []byte{}
	for line := range strings.Lines(string(content)) {
		if fields := splitFields(line); len(fields) > 0 && fields[0] == endpoint {
			continue
		}
		kept = append(kept, line...)
	}
	return kept
}

// appendHost returns content with a line added.
func (h *KnownHosts) appendHost(content []byte, endpoint string, key PublicKey) ([]byte, error) {
	if err := checkHost(endpoint, key); err != nil {
		return nil, err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	content = append(content, endpoint+" "+key.String()+"\n"...)
	if len(content) > maxTrustFile {
		return nil, &trustFileError{h.file.path, fmt.Errorf("it would exceed %d bytes", maxTrustFile)}
	}
	return content, nil
}

// checkHost checks what a line would contain.
func checkHost(endpoint string, key PublicKey) error {
	if err := CheckName(endpoint); err != nil {
		return err
	}
	if key.IsZero() {
		return ErrNoKey
	}
	return nil
}

// update changes the file under a lock that excludes other processes. edit is called
// with the content, with mu held and the keys of just this content. It returns what to
// write, or nil for no change.
func (h *KnownHosts) update(ctx context.Context, edit func(content []byte) ([]byte, error)) error {
	// Where path is a symbolic link, the lock is that of the file that it leads to,
	// which may have other names.
	real, err := safefile.Resolve(h.file.path)
	if err != nil {
		return step("locking known hosts", err)
	}
	unlock, err := safefile.Lock(ctx, real+".lock")
	if err != nil {
		return step("locking known hosts", err)
	}
	defer func() { _ = unlock() }() // nothing was written to the lock file

	h.file.mu.Lock()
	content, revoked := h.file.loadLocked()
	if err = h.file.err; err == nil {
		content, err = edit(content)
	}
	if err == nil && content != nil {
		if err = safefile.Write(real, content, 0o644, true); err != nil {
			err = step("writing known hosts", err)
		}
		revoked = append(revoked, h.file.reloadLocked()...)
	}
	h.file.mu.Unlock()
	callAll(revoked)
	return err
}

// OnRevoke implements [Trust]. The removal of a key is noticed by the next call of
// Verify, Learn, Remember, Forget or Reload, or by Watch. At an endpoint without remembered
// keys revoked is called at once.
func (h *KnownHosts) OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func()) {
	return h.file.subs.add(&h.file.mu, h.file.validLocked, endpoint, key, revoked)
}

// Expected implements [Expecter]: it returns the keys remembered for endpoint in a
// new slice. It blocks on the disk.
func (h *KnownHosts) Expected(endpoint string) []PublicKey {
	h.file.mu.Lock()
	revoked := h.file.refreshLocked()
	keys := h.file.keys[endpoint].list()
	h.file.mu.Unlock()
	callAll(revoked)
	return keys
}

// Reload does for known hosts what [AllowFile.Reload] does.
func (h *KnownHosts) Reload() error { return h.file.reload() }

// Watch implements [Watcher]: it reloads the file whenever it has changed. It blocks
// until ctx ends.
func (h *KnownHosts) Watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	return h.file.watch(ctx, interval, failed)
}
