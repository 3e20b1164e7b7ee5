package transporttest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/ringlink"
	"github.com/sealport/sealport/internal/shmring"
	"github.com/sealport/sealport/internal/unixsock"
)

// Rings returns the two ends of a link in shared memory, size bytes for each
// direction, and what ends each as the death of its process would.
func Rings(t testing.TB, size int) (a, b link.Link, killA, killB func()) {
	t.Helper()
	x, y, err := unixsock.Pair()
	require.NoError(t, err)
	host, fd, err := shmring.Create(size)
	require.NoError(t, err)
	client, err := shmring.Open(fd, size)
	require.NoError(t, errors.Join(err, unixsock.CloseFD(fd), x.StopCredentials(), y.StopCredentials()))
	a = ringlink.New(host, shmring.Host, x, cred.New(unixsock.CloseFD), ringlink.Options{})
	b = ringlink.New(client, shmring.Client, y, cred.New(unixsock.CloseFD), ringlink.Options{})
	return a, b, func() { _ = x.Close() }, func() { _ = y.Close() }
}
