//go:build linux || darwin

package secure_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// starved is an allow file of a process that has no descriptors left while it verifies.
type starved struct {
	*keys.AllowFile
	t    *testing.T
	file string
	now  atomic.Bool
}

// allowedClient is the content of the file.
var allowedClient = []byte(clientKey.Public().String() + "\n")

func (s *starved) Verify(ctx context.Context, endpoint string, key keys.PublicKey) error {
	if !s.now.Load() {
		return s.AllowFile.Verify(ctx, endpoint, key)
	}
	assert.NoError(s.t, os.WriteFile(s.file, allowedClient, 0o600)) // so that it is read again
	var limit syscall.Rlimit
	if !assert.NoError(s.t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)) {
		return keys.ErrUntrusted
	}
	none := limit
	none.Cur = 0
	assert.NoError(s.t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	defer func() { assert.NoError(s.t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	return s.AllowFile.Verify(ctx, endpoint, key)
}

// TestHostThatCannotReadItsTrustFile: a host without descriptors has not refused a key,
// and the client is told so. It cannot run beside other tests.
func TestHostThatCannotReadItsTrustFile(t *testing.T) {
	for name, set := range map[string]func(*secure.Config){
		"XX": func(c *secure.Config) { c.Pattern = handshake.XX },
		"IK": func(c *secure.Config) { c.Pattern = handshake.IK },
		// Both sides are in one process, which is out of descriptors.
		"without a handshake": skip,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file := filepath.Join(t.TempDir(), "allowed")
			require.NoError(t, os.WriteFile(file, allowedClient, 0o600))
			allowed, err := keys.OpenAllowFile(file)
			require.NoError(t, err)
			trust := &starved{AllowFile: allowed, t: t, file: file}
			w.echo(t, hostConfig(nil, set, func(c *secure.Config) { c.Trust = trust }))
			client := clientConfig(nil, set)
			w.accepted(t, client)

			trust.now.Store(true)
			_, err = w.talk(t, client)
			require.ErrorIs(t, err, transport.ErrExhausted)
			require.ErrorIs(t, err, secure.ErrHandshake)
			require.NotErrorIs(t, err, transport.ErrPeerGone)
			require.NotErrorIs(t, err, keys.ErrUntrusted)
			reported := await(t, w.failures)
			require.ErrorIs(t, reported, transport.ErrExhausted)
			require.ErrorIs(t, reported, syscall.EMFILE)
			require.NotErrorIs(t, reported, keys.ErrUntrusted)

			trust.now.Store(false)
			w.accepted(t, client)
		})
	}
}

// starvedWatch is an AllowFile of which each check finds no descriptors.
type starvedWatch struct{ *keys.AllowFile }

func (s *starvedWatch) Watch(ctx context.Context, _ time.Duration, checked func(error)) error {
	checked(&os.PathError{Op: "open", Path: "allowed", Err: syscall.EMFILE})
	<-ctx.Done()
	return ctx.Err()
}

// TestTrustFileCheckWithoutDescriptors: a check of the file that fails for want of
// descriptors says so as a handshake does.
func TestTrustFileCheckWithoutDescriptors(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "allowed")
	require.NoError(t, os.WriteFile(file, allowedClient, 0o600))
	allowed, err := keys.OpenAllowFile(file)
	require.NoError(t, err)
	w.echo(t, hostConfig(nil, func(c *secure.Config) { c.Trust = &starvedWatch{allowed} }))
	w.accepted(t, clientConfig(nil))
	reported := await(t, w.failures)
	require.ErrorIs(t, reported, transport.ErrExhausted)
	require.ErrorIs(t, reported, syscall.EMFILE)
}
