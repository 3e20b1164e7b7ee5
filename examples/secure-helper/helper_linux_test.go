package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys"
)

// eachUser runs a test with clients of this test's own user, and with those of
// another one where that can be had.
func eachUser(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("same user", func(t *testing.T) { test(t, newSite(t, os.Getuid())) })
	t.Run("another user", func(t *testing.T) {
		needRoot(t)
		test(t, newSite(t, userUID))
	})
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root (CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_SYS_PTRACE)")
	}
}

func TestAllowedClient(t *testing.T) {
	eachUser(t, func(t *testing.T, s *site) {
		h := s.serve(t)
		stdout, stderr, code := s.asks(t, client{}, "who")
		require.Zero(t, code, stderr)
		assert.Regexp(t, `^pid \d+\nuid `+strconv.Itoa(s.user)+`\nprogram `+s.program+`\nkey ([0-9a-f]{4}-){5}[0-9a-f]{4}\n$`, stdout)

		stdout, stderr, code = s.asks(t, client{}, "set", "volume", "11")
		require.Zero(t, code, stderr)
		assert.Empty(t, stdout)
		stdout, _, code = s.asks(t, client{}, "get", "volume")
		require.Zero(t, code)
		assert.Equal(t, "11\n", stdout)
		stdout, _, code = s.asks(t, client{}, "list")
		require.Zero(t, code)
		assert.Equal(t, "greeting=\npower-saving=\nvolume=11\n", stdout)

		// The file is the helper's, and its client can't write it by himself.
		fi, err := os.Stat(s.path("state/volume"))
		require.NoError(t, err)
		assert.Equal(t, uint32(os.Getuid()), fi.Sys().(*syscall.Stat_t).Uid)
		assert.Zero(t, fi.Mode().Perm()&0o022)

		_, stderr, code = s.asks(t, client{}, "set", "volume", "111")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, errValue.Error())
		_, _, code = s.asks(t, client{}, "set", "../allow", "")
		assert.Equal(t, 1, code)
		stdout, _, _ = s.asks(t, client{}, "get", "volume")
		assert.Equal(t, "11\n", stdout)

		log := h.stop(t)
		assert.Contains(t, log, "uid "+strconv.Itoa(s.user))
		assert.Equal(t, 7, strings.Count(log, "msg=asked"), log)
	})
}

// Each line of defence holds alone: everything else about these clients is as it
// should be.
func TestRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		root bool
		make func(t *testing.T, s *site) client
		code int
		log  string // what the helper says of it, if it is the helper that refuses
	}{
		{"another program", false, func(t *testing.T, s *site) client {
			return client{program: s.copyProgram(t, "copy")}
		}, 3, "runs "},
		{"key not listed", false, func(t *testing.T, s *site) client {
			s.keygen(t, "other", s.user)
			return client{key: "other"}
		}, 3, "client key refused"},
		{"helper's key is another", false, func(t *testing.T, s *site) client {
			return client{flags: []string{"-host", s.keygen(t, "other", s.user)}}
		}, 4, ""},
		{"helper runs as another user", false, func(t *testing.T, s *site) client {
			return client{flags: []string{"-host", s.hostKey, "-user", strconv.Itoa(otherUID)}}
		}, 4, ""},
		{"another user", true, func(t *testing.T, s *site) client {
			s.allow(t, s.keygen(t, "client", s.user), s.keygen(t, "other", otherUID))
			return client{key: "other", uid: otherUID}
		}, 3, "effective uid is " + strconv.Itoa(otherUID)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.root {
				needRoot(t)
			}
			eachUser(t, func(t *testing.T, s *site) {
				h := s.serve(t)
				_, stderr, code := s.asks(t, client{}, "get", "volume")
				require.Zero(t, code, stderr)
				stdout, stderr, code := s.asks(t, row.make(t, s), "set", "volume", "99")
				assert.Equal(t, row.code, code, stderr)
				assert.Empty(t, stdout)
				assert.NoFileExists(t, s.path("state/volume"))
				h.expect(t, row.log)
				log := h.stop(t)
				assert.Equal(t, 1, strings.Count(log, "msg=asked"), log)
			})
		})
	}
}

// Root is not the user either.
func TestRootIsRefused(t *testing.T) {
	needRoot(t)
	s := newSite(t, userUID)
	s.allow(t, s.keygen(t, "root", 0))
	h := s.serve(t)
	cmd := s.command(t, s.program, 0, "ask", "-dir", s.path("run"), "-key", filepath.Join(s.path("root"), keyName+".key"),
		"-host", s.hostKey, "who")
	require.Error(t, cmd.Run())
	assert.Equal(t, 3, cmd.ProcessState.ExitCode())
	h.expect(t, "effective uid is 0")
	assert.NotContains(t, h.stop(t), "msg=asked")
}

// The list of keys is followed without a restart.
func TestAllowFileIsFollowed(t *testing.T) {
	eachUser(t, func(t *testing.T, s *site) {
		first, second := s.keygen(t, "client", s.user), s.keygen(t, "second", s.user)
		h := s.serve(t)
		_, _, code := s.asks(t, client{key: "second"}, "who")
		assert.Equal(t, 3, code)
		s.allow(t, first, second)
		_, stderr, code := s.asks(t, client{key: "second"}, "who")
		assert.Zero(t, code, stderr)
		s.allow(t, second)
		_, _, code = s.asks(t, client{}, "who")
		assert.Equal(t, 3, code)
		h.stop(t)
	})
}

// Who was told no key insists on the one that he saw first.
func TestKnownHosts(t *testing.T) {
	eachUser(t, func(t *testing.T, s *site) {
		c := client{flags: []string{"-known-hosts", s.path("client/known_hosts")}}
		h := s.serve(t)
		for range 2 {
			_, stderr, code := s.asks(t, c, "who")
			require.Zero(t, code, stderr)
		}
		h.stop(t)

		require.NoError(t, os.Remove(filepath.Join(s.path("host"), keyName+".key")))
		require.NotEqual(t, s.hostKey, s.keygen(t, "host", os.Getuid()))
		h = s.serve(t)
		_, stderr, code := s.asks(t, c, "who")
		assert.Equal(t, 4, code, stderr)
		assert.NotContains(t, h.stop(t), "msg=asked")
	})
}

func TestNoHelper(t *testing.T) {
	s := newSite(t, os.Getuid())
	_, stderr, code := s.asks(t, client{}, "who")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "no host at this endpoint")
}

// Rules about files that others can change prove nothing.
func TestServeRefusesUnsafeFiles(t *testing.T) {
	s := newSite(t, os.Getuid())
	ended, cancel := context.WithCancel(t.Context())
	cancel() // a helper that does start ends at once
	serve := func(executable, state string) error {
		return run(ended, []string{"serve", "-dir", s.path("run"), "-key", filepath.Join(s.path("host"), keyName+".key"),
			"-allow", s.path("allow"), "-user", "0", "-executable", executable, "-state", state})
	}
	open := s.path("open")
	require.NoError(t, os.Mkdir(open, 0o755))
	require.NoError(t, os.Chmod(open, 0o777))
	inside := filepath.Join(open, "program")
	require.NoError(t, os.WriteFile(inside, nil, 0o755))
	require.NoError(t, os.Symlink(s.program, s.path("link")))
	writable := s.copyProgram(t, "writable")
	require.NoError(t, os.Chmod(writable, 0o775))

	for name, err := range map[string]error{
		"program that others can write":   serve(writable, s.path("state")),
		"program in an open folder":       serve(inside, s.path("state")),
		"link, which could be changed":    serve(s.path("link"), s.path("state")),
		"relative path":                   serve("secure-helper", s.path("state")),
		"settings in an open folder":      serve(s.program, open),
		"settings in a sticky one itself": serve(s.program, os.TempDir()),
	} {
		assert.ErrorIs(t, err, errOpen, name)
	}
	assert.ErrorIs(t, serve(s.path("none"), s.path("state")), os.ErrNotExist)
	assert.NoDirExists(t, s.path("run"))
	require.NoError(t, serve(s.program, s.path("state")))

	require.NoError(t, os.Remove(s.path("allow")))
	err := serve(s.program, s.path("state"))
	assert.ErrorIs(t, err, keys.ErrTrustFile)
	assert.Equal(t, 1, exitCode(err))

	t.Run("of another user", func(t *testing.T) {
		needRoot(t)
		theirs := s.copyProgram(t, "theirs")
		require.NoError(t, os.Chown(theirs, userUID, userUID))
		assert.ErrorIs(t, serve(theirs, s.path("state")), errOpen)
	})
}
