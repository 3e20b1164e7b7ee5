package secure_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// trustLog is a slog.Handler that passes on what is logged of trust files.
type trustLog chan slog.Record

func (l trustLog) Enabled(context.Context, slog.Level) bool { return true }
func (l trustLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l trustLog) WithGroup(string) slog.Handler            { return l }

func (l trustLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		err, _ := a.Value.Any().(error)
		if errors.Is(err, keys.ErrTrustFile) {
			l <- r
		}
		return true
	})
	if r.Level == slog.LevelInfo && r.Message == "trust file can be used again" {
		l <- r
	}
	return nil
}

// scripted is an allow file whose checks fail as the test says.
type scripted struct {
	keys.Trust
	checks chan error
}

func (s *scripted) Watch(ctx context.Context, _ time.Duration, failed func(error)) error {
	for {
		select {
		case err := <-s.checks:
			failed(err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A host whose trust file is broken while clients are connected says so once for each
// problem, and when it is over. A second host with the same file does too.
func TestBrokenTrustFileIsReported(t *testing.T) {
	trust := &scripted{Trust: keys.Allow(clientKey.Public()), checks: make(chan error)}
	var worlds []*world
	var logs []trustLog
	for range 2 {
		w, log := newWorld(t), make(trustLog, 100)
		w.echo(t, hostConfig(&transport.Config{Logger: slog.New(log)}, func(c *secure.Config) { c.Trust = trust }))
		for range 2 { // connections do not count
			c, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(nil)))
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			require.NoError(t, c.Send(hung(t), nil))
			_, err = c.Receive(hung(t)) // its set-up is complete
			require.NoError(t, err)
		}
		worlds, logs = append(worlds, w), append(logs, log)
	}
	problem := func(line string) error { return errors.Join(keys.ErrTrustFile, errors.New(line)) }
	for _, err := range []error{problem("line 2"), problem("line 2"), problem("line 3"), nil, problem("line 3"), nil} {
		trust.checks <- err
	}
	for i, log := range logs {
		for _, level := range []slog.Level{slog.LevelWarn, slog.LevelWarn, slog.LevelInfo, slog.LevelWarn, slog.LevelInfo} {
			require.Equal(t, level, await(t, log).Level)
		}
		require.Empty(t, log)
		for range 3 {
			require.ErrorIs(t, await(t, worlds[i].failures), keys.ErrTrustFile)
		}
		require.Empty(t, worlds[i].failures)
	}
}

// The same with a real file and a client, which has no OnError.
func TestBrokenTrustFileOfAClient(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), make(trustLog, 100)
	w.echo(t, hostConfig(nil))
	path := filepath.Join(t.TempDir(), "known")
	known, err := keys.TrustOnFirstUse(path)
	require.NoError(t, err)
	c, err := secure.Dial(hung(t), w.endpoint, w.in(clientConfig(&transport.Config{Logger: slog.New(log)}, func(c *secure.Config) { c.Trust = known })))
	require.NoError(t, err)
	defer c.Close()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	write := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write(string(content) + "this is no key\n")
	require.Equal(t, slog.LevelWarn, await(t, log).Level)
	write(string(content))
	require.Equal(t, slog.LevelInfo, await(t, log).Level)
	require.NoError(t, c.Send(hung(t), []byte("hello")))
	_, err = c.Receive(hung(t))
	require.NoError(t, err, "it has stayed")
}
