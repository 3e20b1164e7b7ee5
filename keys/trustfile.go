package keys

import (
	"bufio"
	"bytes"
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

// ErrTrustFile is returned for an allow-list or a file of known hosts that can't
// be understood. The text names the line. It matches ErrUntrusted too, because
// nobody new is trusted until the file has been mended.
var ErrTrustFile = fmt.Errorf("%w: trust file can't be understood", ErrUntrusted)

// maxTrustFile bounds a trust file, in bytes: some ten thousand keys.
const maxTrustFile = 1 << 20

// trustFile is what AllowFile and KnownHosts share: a set of (endpoint, key) from
// a file that others edit while it is used. An allow-list has one endpoint, "",
// that stands for all.
type trustFile struct {
	path  string
	parse func(line string) (endpoint string, key PublicKey, err error)

	mu     sync.Mutex
	loaded bool
	stamp  safefile.Stamp
	err    error              // of the last load; keys are then the ones before
	keys   map[string]*keySet // by endpoint
	subs   subscriptions
}

// keySet are the keys of one endpoint: a list may be long, so it is not searched.
type keySet struct {
	inOrder []PublicKey // of the file
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

// refreshLocked reads the file again if it changed. The caller calls what it
// returns, with callAll, after it has let go of mu.
func (f *trustFile) refreshLocked() []*subscription {
	if f.loaded && f.err == nil && !f.stamp.Changed(f.path) {
		return nil
	}
	return f.reloadLocked()
}

// reloadLocked reads the file. A file that is gone trusts nobody. A file that is
// there but can't be read or understood leaves the keys for connections that
// live, and err for new ones: a slip of the editor must neither admit anybody nor
// cut everybody off.
func (f *trustFile) reloadLocked() []*subscription {
	f.loaded = true
	content, stamp, err := safefile.Read(f.path, maxTrustFile, safefile.Unforgeable)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content, stamp = nil, safefile.Stamp{}
	case err != nil:
		f.err = fmt.Errorf("%w: %w", ErrTrustFile, err)
		return nil
	}
	keys, err := parseTrustFile(content, f.parse)
	if err != nil {
		f.err = fmt.Errorf("%s: %w", f.path, err)
		return nil
	}
	f.stamp, f.keys, f.err = stamp, keys, nil
	return f.subs.takeRevokedLocked(f.validLocked)
}

// parseTrustFile reads the lines of a trust file, without "#" comments and empty
// lines. One bad line refuses the whole file: it may be the one that matters.
func parseTrustFile(content []byte, parse func(string) (string, PublicKey, error)) (map[string]*keySet, error) {
	keys := make(map[string]*keySet)
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		endpoint, key, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrTrustFile, n, err)
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
	if err := lines.Err(); err != nil { // a line of more than 64 KiB
		return nil, fmt.Errorf("%w: %w", ErrTrustFile, err)
	}
	return keys, nil
}

func (f *trustFile) validLocked(endpoint string, key PublicKey) bool {
	return f.keys[endpoint].has(key)
}

// reload is Reload of both kinds of file.
func (f *trustFile) reload() error {
	f.mu.Lock()
	revoked := f.reloadLocked()
	err := f.err
	f.mu.Unlock()
	callAll(revoked)
	return err
}

// watch is Watch of both kinds of file.
func (f *trustFile) watch(ctx context.Context, interval time.Duration, failed func(error)) error {
	if interval <= 0 {
		interval = DefaultWatchInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		f.mu.Lock()
		revoked := f.refreshLocked()
		err := f.err
		f.mu.Unlock()
		callAll(revoked)
		if err != nil && failed != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
