package secure_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/secure"
)

// pairOver does a handshake over two ends.
func pairOver(t testing.TB, a, b link.Link, changes ...func(*secure.Config)) (client, host *secure.Link) {
	t.Helper()
	client, host, err := secure.Pair(t.Context(), a, b, clientConfig(nil, changes...), hostConfig(nil, changes...))
	require.NoError(t, err)
	// A further read acknowledges the last message of the handshake.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, l := range []link.Link{a, b} {
		_, err := l.ReadFrame(over)
		require.ErrorIs(t, err, context.Canceled)
	}
	return client, host
}
