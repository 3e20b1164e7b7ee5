package keys_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// counter counts calls and makes callbacks for OnRevoke.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) call() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func public(t testing.TB, b byte) keys.PublicKey { return fixedKey(t, b).Public() }

// requireRefused requires an error that gives the operator the whole key and the
// file in which to put it, as values and in the text that ends up in a log.
func requireRefused(t *testing.T, err error, key keys.PublicKey, file string, expected ...keys.PublicKey) {
	t.Helper()
	require.ErrorIs(t, err, keys.ErrUntrusted)
	require.NotErrorIs(t, err, keys.ErrTrustFile)
	var refused *keys.UntrustedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, keys.UntrustedError{Key: key, File: file, Expected: expected}, *refused)

	require.Contains(t, logged(err), key.String())
	require.Contains(t, logged(err), file)
	for _, e := range expected {
		require.Contains(t, logged(err), e.String())
	}
}

// logged returns what a log shows of err.
func logged(err error) string {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("refused", "error", err)
	return out.String()
}

func TestPin(t *testing.T) {
	current, next, other := public(t, 1), public(t, 2), public(t, 3)
	p := keys.Pin(current, next)
	require.NoError(t, p.Verify(t.Context(), "a", current))
	require.NoError(t, p.Verify(t.Context(), "b", next))
	requireRefused(t, p.Verify(t.Context(), "a", other), other, "", current, next)
	require.ErrorIs(t, p.Verify(t.Context(), "a", keys.PublicKey{}), keys.ErrUntrusted)
	require.Equal(t, []keys.PublicKey{current, next}, p.Expected("a"))
	p.Expected("a")[0] = other
	require.Equal(t, current, p.Expected("a")[0], "a new slice each time")

	var c counter
	p.OnRevoke("a", current, c.call)()
	require.Zero(t, c.calls())
	p.OnRevoke("a", other, c.call)()
	require.Equal(t, 1, c.calls())
}

// TestNobodyIsTrustedByMistake has every kind of Trust with nothing or a zero key
// in it.
func TestNobodyIsTrustedByMistake(t *testing.T) {
	for name, trust := range map[string]keys.Trust{
		"pin nothing":   keys.Pin(),
		"pin zero":      keys.Pin(keys.PublicKey{}),
		"allow nothing": keys.Allow(),
		"allow zero":    keys.Allow(keys.PublicKey{}),
		"zero list":     new(keys.AllowList),
	} {
		require.ErrorIs(t, trust.Verify(t.Context(), "a", keys.PublicKey{}), keys.ErrUntrusted, name)
		require.ErrorIs(t, trust.Verify(t.Context(), "a", public(t, 1)), keys.ErrUntrusted, name)
	}
}

func TestAllowAndRemove(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	l := keys.Allow(a)
	require.NoError(t, l.Verify(t.Context(), "x", a))
	requireRefused(t, l.Verify(t.Context(), "x", b), b, "")
	l.Add(b)
	require.NoError(t, l.Verify(t.Context(), "x", b))

	var first, second, cancelled, other counter
	l.OnRevoke("x", a, first.call)
	l.OnRevoke("y", a, second.call)
	cancel := l.OnRevoke("x", a, cancelled.call)
	l.OnRevoke("x", b, other.call)
	cancel()
	cancel()
	l.Remove(a)
	require.Equal(t, []int{1, 1, 0, 0}, []int{first.calls(), second.calls(), cancelled.calls(), other.calls()})
	require.ErrorIs(t, l.Verify(t.Context(), "x", a), keys.ErrUntrusted)

	// Once only, and a key that comes back starts anew.
	l.Remove(a)
	l.Add(a)
	l.Remove(a)
	require.Equal(t, 1, first.calls())

	// Removed between Verify and OnRevoke.
	var late counter
	cancel = l.OnRevoke("x", a, late.call)
	require.Equal(t, 1, late.calls())
	cancel()
	require.Zero(t, other.calls())
}

// TestRevokedMayCallBack: a callback that uses the list does not deadlock.
func TestRevokedMayCallBack(t *testing.T) {
	a := public(t, 1)
	l := keys.Allow(a)
	var cancel func()
	done := 0
	cancel = l.OnRevoke("x", a, func() {
		cancel()
		l.Add(a)
		require.NoError(t, l.Verify(t.Context(), "x", a))
		done++
	})
	l.Remove(a)
	require.Equal(t, 1, done)
}

// TestAllowListConcurrently is for the race detector, and checks that each
// subscription ends in exactly one call: none is cancelled.
func TestAllowListConcurrently(t *testing.T) {
	l := keys.Allow()
	a := public(t, 1)
	var c counter
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l.Add(a)
				_ = l.Verify(t.Context(), "x", a)
				l.OnRevoke("x", a, c.call)
				l.Remove(a)
			}
		})
	}
	wg.Wait()
	l.Remove(a)
	require.Equal(t, 8*200, c.calls())
}
