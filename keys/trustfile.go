package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// ErrTrustFile matches the error for an allow file or a file of known hosts that
// cannot be used: it cannot be read or parsed, or others can write it. The text
// names the file and the line, and a [*TextError] the column where a character does not
// belong there. It matches [ErrUntrusted] too, because no new connection is accepted
// until the file is corrected.
//
// An error of the system's that says nothing about the file, such as [syscall.EMFILE] if
// this process is out of descriptors, matches neither: the same call can succeed later.
var ErrTrustFile error = trustFileSentinel{}

type trustFileSentinel struct{}

func (trustFileSentinel) Error() string { return prefix + "trust file cannot be used" }
func (trustFileSentinel) Unwrap() error { return ErrUntrusted }

// trustFileError says which file cannot be used, and why.
type trustFileError struct {
	path string
	err  error
}

func (e *trustFileError) Error() string {
	return fmt.Sprintf("%strust file %s cannot be used: %s", prefix, e.path, strings.TrimPrefix(e.err.Error(), prefix))
}

func (e *trustFileError) Unwrap() []error { return []error{ErrTrustFile, e.err} }

// maxTrustFile is the largest trust file, in bytes: some ten thousand keys.
const maxTrustFile = 1 << 20

// trustFile is what AllowFile and KnownHosts share: a set of (endpoint, key) read
// from a file that is edited while it is used. In an allow file the endpoint is "",
// which stands for all endpoints.
type trustFile struct {
	path   string
	format lineFormat

	mu     sync.Mutex
	loaded bool
	stamp  safefile.Stamp
	err    error              // of the last load; keys are then those of the load before
	keys   map[string]*keySet // by endpoint
	subs   subscriptions
}

// lineFormat is what a line of a trust file has in front of its comment.
type lineFormat struct {
	fields int // how many
	parse  func(fields []string) (endpoint string, key PublicKey, err error)
}

// keySet is the keys of one endpoint, with an index because a list may be long.
type keySet struct {
	inOrder []PublicKey // as in the file
	index   map[PublicKey]struct{}
}

func (s *keySet) has(key PublicKey) bool {
	if s == nil {
		return false
	}
	_, ok := s.index[key]
	return ok
}

// list returns the keys in a new slice.
func (s *keySet) list() []PublicKey {
	if s == nil {
		return nil
	}
	return slices.Clone(s.inOrder)
}

// refreshLocked reads the file again if it has changed. The caller passes what it
// returns to callAll after it has unlocked mu.
func (f *trustFile) refreshLocked() []*subscription {
	if f.loaded && f.err == nil && !f.stamp.Changed(f.path) {
		return nil
	}
	return f.reloadLocked()
}

// reloadLocked reads the file, as refreshLocked does if it has changed.
func (f *trustFile) reloadLocked() []*subscription {
	_, revoked := f.loadLocked()
	return revoked
}

// loadLocked is reloadLocked, and returns the content too. A missing file trusts no key.
// A file that exists but cannot be read or parsed leaves the keys for existing
// connections and sets err for new ones: an editing mistake must neither admit a peer nor
// disconnect all of them.
func (f *trustFile) loadLocked() (content []byte, revoked []*subscription) {
	f.loaded = true
	content, stamp, err := safefile.Read(f.path, maxTrustFile, safefile.Unforgeable)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content, stamp = nil, safefile.Stamp{}
	case safefile.IsExhausted(err):
		f.err = step("reading trust file", err)
		return nil, nil
	case err != nil:
		f.err = &trustFileError{f.path, err}
		return nil, nil
	}
	keys, err := parseTrustFile(content, f.format)
	if err != nil {
		f.err = &trustFileError{f.path, err}
		return nil, nil
	}
	f.stamp, f.keys, f.err = stamp, keys, nil
	return content, f.subs.takeRevokedLocked(f.validLocked)
}

// parseTrustFile parses a trust file and skips "#" comments and empty lines. One
// bad line makes the whole file unusable: it may be the line that matters.
func parseTrustFile(content []byte, format lineFormat) (map[string]*keySet, error) {
	keys := make(map[string]*keySet)
	for line, err := range textLines(content, format.fields) {
		if err != nil {
			return nil, err
		}
		if len(line.fields) == 0 {
			continue
		}
		endpoint, key, err := format.parse(line.fields)
		if err != nil {
			return nil, step(fmt.Sprintf("line %d", line.number), err)
		}
		set := keys[endpoint]
		if set == nil {
			set = &keySet{index: make(map[PublicKey]struct{})}
			keys[endpoint] = set
		}
		if !set.has(key) {
			set.inOrder, set.index[key] = append(set.inOrder, key), struct{}{}
		}
	}
	return keys, nil
}

func (f *trustFile) validLocked(endpoint string, key PublicKey) bool {
	return f.keys[endpoint].has(key)
}

// reload implements Reload of both kinds of file.
func (f *trustFile) reload() error {
	f.mu.Lock()
	revoked := f.reloadLocked()
	err := f.err
	f.mu.Unlock()
	callAll(revoked)
	return err
}

// watch implements Watch of both kinds of file.
func (f *trustFile) watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	if interval <= 0 {
		interval = DefaultWatchInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	wasFailing := false
	for {
		f.mu.Lock()
		revoked := f.refreshLocked()
		err := f.err
		f.mu.Unlock()
		callAll(revoked)
		if failed != nil && (err != nil || wasFailing) {
			failed(err)
		}
		wasFailing = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
