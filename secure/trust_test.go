package secure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

var otherKey = fixedKey(3)

// world is an endpoint, with its dir, and what hosts there report.
type world struct {
	endpoint string
	dir      string
	failures chan error
}

func newWorld(t *testing.T) *world {
	w := &world{endpoint: endpoint, failures: make(chan error, 100)}
	var own string
	if own, w.dir = transporttest.Place(t); w.dir == "" {
		w.endpoint = own
	}
	return w
}

// in puts a configuration into the world.
func (w *world) in(c *secure.Config) *secure.Config {
	c.Transport.Dir = w.dir
	return c
}

// serving is in for a host, whose errors the world collects.
func (w *world) serving(c *secure.Config) *secure.Config {
	c.Transport.OnError = func(err error) { w.failures <- err }
	return w.in(c)
}

// echo is a host that answers each message with the sender's key.
func (w *world) echo(t *testing.T, c *secure.Config) *transport.Host[[]byte] {
	t.Helper()
	h, err := secure.NewSecureHost(w.endpoint, func(ctx context.Context, m transport.Message[[]byte]) {
		_ = m.Reply(ctx, fmt.Appendf(m.Body, " from %v", m.Session.PeerKey()))
	}, w.serving(c))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.Close()) })
	return h
}

// talk says one thing and returns the answer, or the first error.
func (w *world) talk(t *testing.T, c *secure.Config) (string, error) {
	t.Helper()
	conn, err := secure.Dial(hung(t), w.endpoint, w.in(c))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.Send(hung(t), []byte("hello")); err != nil {
		return "", err
	}
	answer, err := conn.Receive(hung(t))
	return string(answer), err
}

// refused requires that the client does not connect, that it hears nothing but
// that, and that the host reports why. It returns what the client hears.
func (w *world) refused(t *testing.T, c *secure.Config, why error) error {
	t.Helper()
	conn, err := secure.Dial(hung(t), w.endpoint, w.in(c))
	if err == nil {
		_ = conn.Close()
	}
	require.ErrorIs(t, err, secure.ErrHandshake)
	require.ErrorIs(t, err, transport.ErrPeerGone)
	require.NotErrorIs(t, err, io.EOF)
	assert.NotErrorIs(t, err, why, "the client hears what the host has against it")
	var failed *transport.ConnError
	require.ErrorAs(t, await(t, w.failures), &failed)
	require.ErrorIs(t, failed, secure.ErrHandshake)
	require.ErrorIs(t, failed, why)
	require.NotNil(t, failed.Peer, "the log says who it was")
	return err
}

func (w *world) accepted(t *testing.T, c *secure.Config) {
	t.Helper()
	answer, err := w.talk(t, c)
	require.NoError(t, err)
	require.Equal(t, "hello from "+c.Key.Public().String(), answer)
}

func keyed(key keys.PrivateKey) func(*secure.Config) { return func(c *secure.Config) { c.Key = key } }

func TestUntrustedClientIsRefused(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK} {
		t.Run(pattern.String(), func(t *testing.T) {
			w := newWorld(t)
			client, host := configsOf(pattern)
			handled := w.echo(t, host)
			client.Key = otherKey
			w.refused(t, client, keys.ErrUntrusted)
			_, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(client))
			require.ErrorIs(t, err, secure.ErrHandshake)
			require.ErrorIs(t, err, transport.ErrPeerGone)
			require.ErrorIs(t, await(t, w.failures), keys.ErrUntrusted)
			assert.Zero(t, handled.Stats().Connections)
			assert.Zero(t, handled.Stats().ReceivedMessages)
			client.Key = clientKey
			w.accepted(t, client)
		})
	}
}

// TestPinnedClient: a host that pins its client says the same as a client that pins its host.
func TestPinnedClient(t *testing.T) {
	w := newWorld(t)
	w.echo(t, hostConfig(nil, func(c *secure.Config) { c.Trust = keys.Pin(clientKey.Public()) }))
	_, err := w.talk(t, clientConfig(nil, keyed(otherKey)))
	require.ErrorIs(t, err, secure.ErrHandshake)
	var untrusted *keys.UntrustedError
	require.ErrorAs(t, await(t, w.failures), &untrusted)
	require.Equal(t, otherKey.Public(), untrusted.Key)
	require.Equal(t, []keys.PublicKey{clientKey.Public()}, untrusted.Expected)
}

// A Client whose key the host gives up does not call again and again, as fast as
// it can.
func TestUntrustedClientBacksOff(t *testing.T) {
	t.Parallel()
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK} {
		t.Run(pattern.String(), func(t *testing.T) {
			w := newWorld(t)
			client, host := configsOf(pattern)
			allowed := keys.Allow(clientKey.Public())
			host.Trust = allowed
			w.echo(t, host)
			log := newLog()
			client.Transport.Logger = slog.New(log)
			c, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(client))
			require.NoError(t, err)
			begun := time.Now()
			allowed.Remove(clientKey.Public())
			require.ErrorIs(t, await(t, w.failures), secure.ErrRevoked)
			_, err = c.Receive(hung(t))
			var gone *transport.DisconnectedError
			require.ErrorAs(t, err, &gone)
			assert.Zero(t, gone.Unconfirmed, "it had sent nothing")
			for range 3 { // with 250 and 500 ms in between, each less up to half
				require.ErrorIs(t, await(t, w.failures), keys.ErrUntrusted)
			}
			assert.GreaterOrEqual(t, time.Since(begun), 750*time.Millisecond/2)

			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			err = c.Send(ctx, []byte("in vain"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, secure.ErrHandshake, "why there is no host")
			require.NoError(t, c.Close())
			require.Equal(t, "disconnected", await(t, log.warnings).message)
			require.Equal(t, "reconnecting failed", await(t, log.warnings).message)
			require.Empty(t, log.warnings, "the same is logged once")
		})
	}
}

// A host that refuses an unknown key logs what its allow file needs, and the client
// hears that its key was not accepted.
func TestRefusedKeyIsLogged(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK} {
		t.Run(pattern.String(), func(t *testing.T) {
			w := newWorld(t)
			client, host := configsOf(pattern)
			file := filepath.Join(t.TempDir(), "allowed")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			allowed, err := keys.OpenAllowFile(file)
			require.NoError(t, err)
			log := newLog()
			host.Trust, host.Transport.Logger = allowed, slog.New(log)
			w.echo(t, host)

			_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(client))
			require.ErrorIs(t, err, secure.ErrHandshake)
			key := clientKey.Public().String()
			require.ErrorContains(t, err, "the host did not accept this client's")
			require.ErrorContains(t, err, key)

			refused := await(t, w.failures)
			var unknown *keys.UntrustedError
			require.ErrorAs(t, refused, &unknown)
			require.Equal(t, keys.UntrustedError{Key: clientKey.Public(), File: file}, *unknown)
			logged := await(t, log.warnings)
			require.Equal(t, "client key refused", logged.message)
			require.Equal(t, w.endpoint, logged.attrs["endpoint"])
			require.Equal(t, file, logged.attrs["file"])
			require.Contains(t, logged.attrs["peer"], fmt.Sprint("pid ", os.Getpid()))

			// The attributes are what an administrator needs.
			require.NoError(t, os.WriteFile(logged.attrs["file"], []byte(logged.attrs["key"]+" client\n"), 0o600))
			require.NoError(t, allowed.Reload())
			w.accepted(t, client)
		})
	}
}

// keyLog is a slog.Handler that passes warnings on.
type keyLog struct{ warnings chan warning }

type warning struct {
	message string
	attrs   map[string]string
}

func newLog() *keyLog { return &keyLog{warnings: make(chan warning, 100)} }

func (l *keyLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *keyLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *keyLog) WithGroup(string) slog.Handler            { return l }

func (l *keyLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return nil
	}
	w := warning{message: r.Message, attrs: make(map[string]string)}
	r.Attrs(func(a slog.Attr) bool { w.attrs[a.Key] = a.Value.String(); return true })
	l.warnings <- w
	return nil
}

func TestUntrustedHostIsRefused(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK} {
		t.Run(pattern.String(), func(t *testing.T) {
			w := newWorld(t)
			client, host := configsOf(pattern)
			h := w.echo(t, host)
			client.Trust = keys.Pin(otherKey.Public())
			_, err := w.talk(t, client)
			require.ErrorIs(t, err, secure.ErrHandshake)
			if pattern == handshake.XX {
				var untrusted *keys.UntrustedError
				require.ErrorAs(t, err, &untrusted)
				require.Equal(t, hostKey.Public(), untrusted.Key)
				require.Equal(t, []keys.PublicKey{otherKey.Public()}, untrusted.Expected)
				require.ErrorIs(t, await(t, w.failures), secure.ErrHandshake)
			} else {
				require.ErrorIs(t, await(t, w.failures), handshake.ErrUnknownKey)
			}
			assert.Zero(t, h.Stats().Accepted)
		})
	}
}

func TestTrustOnFirstUse(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "known", "hosts")
	tofu := func(c *secure.Config) {
		known, err := keys.TrustOnFirstUse(path)
		require.NoError(t, err)
		c.Trust = known
	}
	h := w.echo(t, hostConfig(nil))
	w.accepted(t, clientConfig(nil, tofu))
	w.accepted(t, clientConfig(nil, tofu))
	require.NoError(t, h.Close())

	w.echo(t, hostConfig(nil, keyed(otherKey)))
	_, err := w.talk(t, clientConfig(nil, tofu))
	require.ErrorIs(t, err, secure.ErrHandshake)
	var changed *keys.KeyChangedError
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, w.endpoint, changed.Endpoint)
	assert.True(t, changed.Got.Equal(otherKey.Public()))
	assert.True(t, changed.Known[0].Equal(hostKey.Public()))
}

// A host with another key that answers first is not remembered if the handshake with it
// fails: it does not have the pre-shared key, or it does not accept the client.
func TestFirstUseIsRememberedAfterTheHandshake(t *testing.T) {
	for name, squatter := range map[string]func(*secure.Config){
		"another PSK":        func(c *secure.Config) { c.PSK = keys.GeneratePreshared() },
		"refuses the client": func(c *secure.Config) { c.Trust = keys.Allow() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			known, err := keys.TrustOnFirstUse(filepath.Join(t.TempDir(), "hosts"))
			require.NoError(t, err)
			psk := keys.GeneratePreshared()
			shared := func(c *secure.Config) { c.PSK = psk }
			tofu := func(c *secure.Config) { c.Trust = known }
			h := w.echo(t, hostConfig(nil, shared, keyed(otherKey), squatter))
			_, err = w.talk(t, clientConfig(nil, shared, tofu))
			require.ErrorIs(t, err, secure.ErrHandshake)
			require.Empty(t, known.Expected(w.endpoint))
			require.NoError(t, h.Close())

			w.echo(t, hostConfig(nil, shared))
			w.accepted(t, clientConfig(nil, shared, tofu))
			require.Equal(t, []keys.PublicKey{hostKey.Public()}, known.Expected(w.endpoint))
		})
	}
}

// forgetful is a Trust that can't remember a key.
type forgetful struct{ *keys.KnownHosts }

var errFull = errors.New("the disk is full")

func (forgetful) Learn(context.Context, string, keys.PublicKey) error { return errFull }

// A client that can't remember the host's key does not connect, and the host is not told
// of a graceful end.
func TestFirstUseThatIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	w.echo(t, hostConfig(nil))
	known, err := keys.TrustOnFirstUse(filepath.Join(t.TempDir(), "hosts"))
	require.NoError(t, err)
	_, err = secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil, func(c *secure.Config) { c.Trust = forgetful{known} })))
	require.ErrorIs(t, err, secure.ErrHandshake)
	require.ErrorIs(t, err, errFull)
	require.ErrorIs(t, await(t, w.failures), secure.ErrTruncated)
}

// A line that is taken out of a file ends the connection that lives by it, and no
// other.
func TestAllowFileRevokes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "allowed")
	write := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write(clientKey.Public().String() + " one\n" + otherKey.Public().String() + " two\n")
	allowed, err := keys.OpenAllowFile(path)
	require.NoError(t, err)
	l, err := secure.Listen(w.endpoint, w.serving(hostConfig(nil, func(c *secure.Config) { c.Trust = allowed })))
	require.NoError(t, err)
	defer l.Close()
	connect := func(key keys.PrivateKey) (host, client *transport.Conn) {
		client, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil, keyed(key))))
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		host, err = l.Accept(hung(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = host.Close() })
		return host, client
	}
	revoked, _ := connect(clientKey)
	stays, other := connect(otherKey)
	waiting := make(chan error)
	go func() {
		_, err := revoked.Receive(hung(t))
		waiting <- err
	}()
	write("this is no key\n") // ends nothing
	require.ErrorIs(t, allowed.Reload(), keys.ErrTrustFile)
	require.NoError(t, revoked.Send(hung(t), nil))

	write(otherKey.Public().String() + " two\n") // noticed by itself
	err = await(t, waiting)
	require.ErrorIs(t, err, secure.ErrRevoked)
	require.ErrorIs(t, err, transport.ErrClosed)
	require.ErrorIs(t, revoked.CloseWrite(hung(t)), secure.ErrRevoked)
	require.NoError(t, other.Send(hung(t), []byte("still here")))
	p, err := stays.Receive(hung(t))
	require.NoError(t, err)
	require.Equal(t, "still here", string(p))
}

// A Client whose Trust gives its host up hears that, not that the host is gone.
func TestClientHearsOfRevokedHost(t *testing.T) {
	w := newWorld(t)
	w.echo(t, hostConfig(nil))
	known, err := keys.TrustOnFirstUse(filepath.Join(t.TempDir(), "hosts"))
	require.NoError(t, err)
	c, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, func(c *secure.Config) { c.Trust = known })))
	require.NoError(t, err)
	waiting := make(chan error)
	go func() {
		_, err := c.Receive(hung(t))
		waiting <- err
	}()
	require.NoError(t, c.Send(hung(t), []byte("x")))
	require.NoError(t, await(t, waiting))
	go func() {
		_, err := c.Receive(hung(t))
		waiting <- err
	}()
	require.NoError(t, known.Forget(hung(t), w.endpoint))
	require.ErrorIs(t, await(t, waiting), secure.ErrRevoked)
	_ = c.Close()
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	w.echo(t, hostConfig(nil, func(c *secure.Config) { c.NextKey = otherKey }))
	for _, pinned := range []keys.PrivateKey{hostKey, otherKey} {
		conn, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil, func(c *secure.Config) { c.Trust = keys.Pin(pinned.Public()) })))
		require.NoError(t, err)
		assert.True(t, conn.PeerKey().Equal(pinned.Public()))
		require.NoError(t, conn.Close())
	}
	_, err := w.talk(t, clientConfig(nil, func(c *secure.Config) { c.Trust = keys.Pin(clientKey.Public()) }))
	require.ErrorIs(t, err, keys.ErrUntrusted)
}

// Anonymous clients are let in where the host says so, beside those with keys.
func TestAnonymousOnlyIfAllowed(t *testing.T) {
	anonymous, _ := configsOf(handshake.NK)
	w := newWorld(t)
	h := w.echo(t, hostConfig(nil))
	w.refused(t, anonymous, handshake.ErrOffer)
	require.NoError(t, h.Close())

	w.echo(t, hostConfig(nil, func(c *secure.Config) { c.AllowAnonymous = true }))
	answer, err := w.talk(t, anonymous)
	require.NoError(t, err)
	assert.Equal(t, "hello from "+keys.PublicKey{}.String(), answer)
	w.accepted(t, clientConfig(nil))
	w.refused(t, clientConfig(nil, keyed(otherKey)), keys.ErrUntrusted)
}

func TestEveryPatternConnects(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		for _, classical := range []bool{false, true} {
			client, host := configsOf(pattern)
			client.Classical, host.Classical = classical, classical
			w := newWorld(t)
			w.echo(t, host)
			_, err := w.talk(t, client)
			require.NoError(t, err, "%v classical=%v", pattern, classical)
		}
	}
}

// What the two sides must agree on: else neither connects, and the host says why.
func TestDisagreementIsRefused(t *testing.T) {
	other := keys.GeneratePreshared()
	set := func(f func(*secure.Config)) func(*secure.Config) { return f }
	for name, row := range map[string]struct {
		client, host func(*secure.Config)
		why          error
	}{
		"hybrid client, classical host": {set(func(*secure.Config) {}), func(c *secure.Config) { c.Classical = true }, handshake.ErrOffer},
		"classical client, hybrid host": {func(c *secure.Config) { c.Classical = true }, set(func(*secure.Config) {}), handshake.ErrOffer},
		"IK client, XX host":            {func(c *secure.Config) { c.Pattern = handshake.IK }, set(func(*secure.Config) {}), handshake.ErrOffer},
		"XX client, IK host":            {set(func(*secure.Config) {}), func(c *secure.Config) { c.Pattern = handshake.IK }, handshake.ErrOffer},
		"PSK of the client's only":      {func(c *secure.Config) { c.PSK = psk }, set(func(*secure.Config) {}), handshake.ErrOffer},
		"PSK of the host's only":        {set(func(*secure.Config) {}), func(c *secure.Config) { c.PSK = psk }, handshake.ErrOffer},
		"another PSK":                   {func(c *secure.Config) { c.PSK = psk }, func(c *secure.Config) { c.PSK = other }, handshake.ErrAuthentication},
		"another PSK, NN": {
			func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: psk, Transport: c.Transport} },
			func(c *secure.Config) { *c = secure.Config{Pattern: handshake.NN, PSK: other, Transport: c.Transport} },
			handshake.ErrAuthentication,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.echo(t, hostConfig(nil, row.host))
			client := clientConfig(nil, row.client)
			err := w.refused(t, client, row.why)
			if row.why == handshake.ErrOffer && client.Pattern != handshake.IK { // which sends its key at once
				require.NotContains(t, err.Error(), clientKey.Public().String(), "it is not the key that was refused")
			}
		})
	}
}

// Plain and secure refuse each other, and the host hears of it too.
func TestPlainAndSecureRefuseEachOther(t *testing.T) {
	for _, inProcess := range []bool{false, true} {
		w := newWorld(t)
		plain := &transport.Config{Dir: w.dir, NoInProcess: !inProcess}
		skip := func(c *secure.Config) { c.SkipInProcessEncryption = inProcess }

		h := w.echo(t, hostConfig(nil, skip))
		_, err := transport.NewClient[[]byte](hung(t), w.endpoint, plain)
		require.ErrorIs(t, err, transport.ErrMode)
		if !inProcess {
			require.ErrorIs(t, await(t, w.failures), transport.ErrMode)
		}
		require.NoError(t, h.Close())

		p, err := transport.NewHost(w.endpoint, func(context.Context, transport.Message[[]byte]) {}, plain)
		require.NoError(t, err)
		_, err = secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(clientConfig(nil, skip)))
		require.ErrorIs(t, err, transport.ErrMode)
		require.NoError(t, p.Close())
	}
}

// watched is a Trust that counts the calls of Watch that go on.
type watched struct {
	keys.Trust
	begun, ended chan struct{}
}

func (w *watched) Watch(ctx context.Context, _ time.Duration, _ func(error)) error {
	w.begun <- struct{}{}
	<-ctx.Done()
	w.ended <- struct{}{}
	return ctx.Err()
}

// TestOneWatchForAll connections with a Trust goes on until the last of them is closed,
// however often the others are.
func TestOneWatchForAll(t *testing.T) {
	trust := &watched{keys.Allow(clientKey.Public()), make(chan struct{}, 9), make(chan struct{}, 9)}
	connect := func() *secure.Link {
		a, b := mem.Pair()
		c, h, err := secure.Pair(t.Context(), a, b, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = trust }))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return h
	}
	for range 2 {
		first, second, third := connect(), connect(), connect()
		await(t, trust.begun)
		for range 3 {
			require.NoError(t, first.Close())
			require.NoError(t, second.Close())
		}
		require.Empty(t, trust.ended, "one connection is left")
		require.NoError(t, connect().Close())
		require.NoError(t, third.Close())
		await(t, trust.ended)
		require.Empty(t, trust.begun, "it was not begun again")
	}
}

// TestPinOfNothing is refused as a mistake: it would accept no host.
func TestPinOfNothing(t *testing.T) {
	w := newWorld(t)
	w.echo(t, hostConfig(nil))
	for _, trust := range []keys.Trust{keys.Pin(), keys.Pin(keys.PublicKey{}), keys.Pin(hostKey.Public(), keys.PublicKey{})} {
		for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK} {
			_, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil, func(c *secure.Config) { c.Pattern, c.Trust = pattern, trust })))
			require.ErrorIs(t, err, transport.ErrConfig)
		}
	}
	// In XX a Trust that does not know the key beforehand will do.
	_, err := w.talk(t, clientConfig(nil, func(c *secure.Config) { c.Trust = keys.Allow(hostKey.Public()) }))
	require.NoError(t, err)
}
