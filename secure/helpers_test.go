package secure_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
)

const (
	endpoint = "com.example.test"

	// limit is when a test has hung; tick is how often a condition is looked at
	// that nobody announces.
	limit = 30 * time.Second
	tick  = time.Millisecond
)

// hung is the context of what must not hang.
func hung(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// await receives from a channel, unless the test has hung.
func await[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-hung(t).Done():
		require.FailNow(t, "nothing came")
	}
	return v
}

var psk = keys.GeneratePreshared()

// configsOf are configurations for one pattern that fit together.
func configsOf(pattern handshake.Pattern) (client, host *secure.Config) {
	client, host = clientConfig(nil), hostConfig(nil)
	client.Pattern, host.Pattern = pattern, pattern
	switch pattern {
	case handshake.NK:
		client.Key, host.Trust, host.AllowAnonymous = keys.PrivateKey{}, nil, true
	case handshake.NN:
		*client, *host = secure.Config{Pattern: pattern, PSK: psk}, secure.Config{Pattern: pattern, PSK: psk}
	}
	return client, host
}
