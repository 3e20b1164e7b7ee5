package transport_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/fips/fipstest"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/transport"
)

// Package transport uses no cryptography that GODEBUG=fips140=only excludes.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Child(fipstest.Only) {
		fipstest.Run(t, fipstest.Only, "TestFIPSOnly")
		return
	}
	endpoint, dir := transporttest.Place(t)
	cfg := &transport.Config{Dir: dir, NoInProcess: true}
	got := make(chan string, 1)
	host, err := transport.NewHost(endpoint, func(_ context.Context, m transport.Message[string]) { got <- m.Body }, cfg)
	require.NoError(t, err)
	client, err := transport.NewClient[string](t.Context(), endpoint, cfg)
	require.NoError(t, err)
	require.NoError(t, client.Send(t.Context(), "hello"))
	require.Equal(t, "hello", <-got)
	require.NoError(t, client.Close())
	require.NoError(t, host.Close())
}
