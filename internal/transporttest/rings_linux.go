package transporttest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/link/socket"
)

// Rings returns the two ends of a link in shared memory, size bytes for each
// direction, and what ends each as the death of its process would.
func Rings(t testing.TB, size int) (a, b link.Link, killA, killB func()) {
	t.Helper()
	x, y, err := socket.Pair()
	require.NoError(t, err)
	host, fd, err := ring.Create(size)
	require.NoError(t, err)
	client, err := ring.Open(fd, size)
	require.NoError(t, errors.Join(err, socket.CloseFD(fd), x.StopCredentials(), y.StopCredentials()))
	a = ring.New(host, ring.Host, x, cred.New(socket.CloseFD), ring.Options{})
	b = ring.New(client, ring.Client, y, cred.New(socket.CloseFD), ring.Options{})
	return a, b, func() { _ = x.Close() }, func() { _ = y.Close() }
}
