// Package machlinktest makes connections over Mach ports for tests.
package machlinktest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
)

// hangLimit is when a connection attempt has hung.
const hangLimit = 30 * time.Second

// Held is the number of bytes that one direction holds at most: the kernel's queue
// and the inbox.
const Held = (mach.QueueLimitMax+1)*machlink.MaxFrame + 256<<10

// Pair connects two tasks through the service called name and returns both ends,
// which the caller closes.
func Pair(t testing.TB, hostTask, clientTask mach.Kernel, name string) (host, client link.Link) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	ln, err := machlink.Listen(hostTask, name)
	require.NoError(t, err)
	accepted := make(chan error, 1)
	go func() {
		p, err := ln.Accept(ctx)
		if err == nil {
			host, err = p.Accept(nil)
		}
		accepted <- err
	}()
	client, _, ok, err := machlink.Dial(ctx, clientTask, name, nil)
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	require.True(t, ok)
	require.NoError(t, ln.Close())
	return host, client
}
