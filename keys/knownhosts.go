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

// KeyChangedError means that the host at an endpoint showed another key than the
// one remembered: it was given a new key, or another program answers in its name.
type KeyChangedError struct {
	Endpoint string
	Known    []PublicKey // what was remembered
	Got      PublicKey   // what the host showed, and proved to hold
	Path     string      // the file of known hosts
}

// Error is loud on purpose, and contains the line that would trust the new key.
func (e *KeyChangedError) Error() string {
	known := make([]string, len(e.Known))
	for i, k := range e.Known {
		known[i] = k.Fingerprint()
	}
	return fmt.Sprintf("keys: THE KEY OF HOST %s HAS CHANGED from %s to %s: it has a new key, or another program answers under its name; "+
		"only if the host's owner confirms the new key, replace the old line in %s by: %s %v",
		e.Endpoint, strings.Join(known, " or "), e.Got.Fingerprint(), e.Path, e.Endpoint, e.Got)
}

// Unwrap returns [ErrKeyChanged] and an [*UntrustedError], so that errors.Is holds
// for [ErrUntrusted] too.
func (e *KeyChangedError) Unwrap() []error {
	return []error{ErrKeyChanged, &UntrustedError{Key: e.Got, File: e.Path}}
}

// KnownHosts trusts at each endpoint the key that it saw there first, and
// remembers it in a file. Make one with TrustOnFirstUse.
//
// A line is an endpoint, a public key and, after a space, whatever helps people;
// an endpoint may have several lines, one for each key it may show:
//
//	com.example.greeter sealport1…
//
// Several processes may use one file. Removing a line ends connections to that
// host if somebody runs Watch or Reload, and the next first use is believed again.
type KnownHosts struct {
	file trustFile
}

var (
	_ Trust    = (*KnownHosts)(nil)
	_ Expecter = (*KnownHosts)(nil)
	_ Watcher  = (*KnownHosts)(nil)
)

// TrustOnFirstUse opens a file of known hosts, which need not exist yet. Beside it
// there will be a lock file, "<path>.lock". The folder is made with mode 0700 if it
// is missing. It blocks on the disk. Errors: ErrTrustFile, ErrInsecureFile.
func TrustOnFirstUse(path string) (*KnownHosts, error) {
	path, err := filepath.Abs(path) // whatever the working directory will be
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		if err := safefile.MkdirPrivate(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("keys: folder of known hosts: %w", err)
		}
	}
	h := &KnownHosts{file: trustFile{path: path, parse: parseKnownLine}}
	if err := h.Reload(); err != nil {
		return nil, err
	}
	return h, nil
}

func parseKnownLine(line string) (string, PublicKey, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return "", PublicKey{}, fmt.Errorf("%w: needs an endpoint and a key", ErrMalformedKey)
	}
	if err := CheckName(fields[0]); err != nil {
		return "", PublicKey{}, err
	}
	key, err := ParsePublicKey(fields[1])
	return fields[0], key, err
}

// Verify returns nil if key is remembered for endpoint, or if nothing is: then it
// remembers key first, and fails if it can't. Another key is a *KeyChangedError.
// It blocks on the disk and, for a first use, on other processes that write the
// same file, until ctx ends.
func (h *KnownHosts) Verify(ctx context.Context, endpoint string, key PublicKey) error {
	known, err := h.check(endpoint, key)
	if known || err != nil {
		return err
	}
	return h.update(ctx, func(content []byte) ([]byte, error) {
		// Under the lock look again: another process may have been first.
		if known, err := h.checkLocked(endpoint, key); known || err != nil {
			return nil, err
		}
		return appendHost(content, endpoint, key)
	})
}

// check is Verify without a first use: known is false if endpoint is new.
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

// Remember adds a key for endpoint beside those that are remembered: for a host
// that announced its next key. It blocks like Verify.
func (h *KnownHosts) Remember(ctx context.Context, endpoint string, key PublicKey) error {
	return h.update(ctx, func(content []byte) ([]byte, error) {
		if h.file.err != nil || h.file.validLocked(endpoint, key) {
			return nil, h.file.err
		}
		return appendHost(content, endpoint, key)
	})
}

// Forget removes all keys of endpoint, which ends connections to that host. The
// next key seen there is believed. It blocks like Verify.
func (h *KnownHosts) Forget(ctx context.Context, endpoint string) error {
	return h.update(ctx, func(content []byte) ([]byte, error) {
		if h.file.err != nil || h.file.keys[endpoint] == nil {
			return nil, h.file.err
		}
		kept := []byte{} // nil would leave the file as it is
		for line := range strings.Lines(string(content)) {
			if fields := strings.Fields(line); len(fields) > 0 && fields[0] == endpoint {
				continue
			}
			kept = append(kept, line...)
		}
		return kept, nil
	})
}

// appendHost returns content with one more line.
func appendHost(content []byte, endpoint string, key PublicKey) ([]byte, error) {
	if err := CheckName(endpoint); err != nil {
		return nil, err
	}
	if key.IsZero() {
		return nil, ErrNoKey
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	content = append(content, endpoint+" "+key.String()+"\n"...)
	if len(content) > maxTrustFile {
		return nil, fmt.Errorf("%w: it is full", ErrTrustFile)
	}
	return content, nil
}

// update changes the file under a lock that excludes other processes. edit gets
// the content, with mu held and the keys up to date, and returns what to write,
// or nil to leave it.
func (h *KnownHosts) update(ctx context.Context, edit func(content []byte) ([]byte, error)) (err error) {
	unlock, err := safefile.Lock(ctx, h.file.path+".lock")
	if err != nil {
		return fmt.Errorf("keys: locking known hosts: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()

	h.file.mu.Lock()
	revoked := h.file.reloadLocked()
	err = h.rewriteLocked(edit)
	revoked = append(revoked, h.file.reloadLocked()...)
	h.file.mu.Unlock()
	callAll(revoked)
	return err
}

func (h *KnownHosts) rewriteLocked(edit func(content []byte) ([]byte, error)) error {
	content, _, err := safefile.Read(h.file.path, maxTrustFile, safefile.Unforgeable)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrTrustFile, err)
	}
	edited, err := edit(content)
	if err != nil || edited == nil {
		return err
	}
	if err := safefile.Write(h.file.path, edited, 0o600, true); err != nil {
		return fmt.Errorf("keys: writing known hosts: %w", err)
	}
	return nil
}

// OnRevoke implements Trust: a key's removal is noticed by Verify, Forget, Reload
// and Watch, whoever comes first. At an endpoint without remembered keys revoked
// is called at once.
func (h *KnownHosts) OnRevoke(endpoint string, key PublicKey, revoked func()) (cancel func()) {
	return h.file.subs.add(&h.file.mu, h.file.validLocked, endpoint, key, revoked)
}

// Expected returns the keys remembered for endpoint. It blocks on the disk.
func (h *KnownHosts) Expected(endpoint string) []PublicKey {
	h.file.mu.Lock()
	revoked := h.file.refreshLocked()
	keys := h.file.keys[endpoint].list()
	h.file.mu.Unlock()
	callAll(revoked)
	return keys
}

// Reload is AllowFile.Reload for known hosts.
func (h *KnownHosts) Reload() error { return h.file.reload() }

// Watch is AllowFile.Watch for known hosts.
func (h *KnownHosts) Watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	return h.file.watch(ctx, interval, failed)
}
