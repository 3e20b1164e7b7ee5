package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// A name whose lock another process holds without listening is not served, which is reported,
// unless that process ends at once.
func TestNameWhoseLockIsHeld(t *testing.T) {
	t.Parallel()
	o := inDir(t)
	reports := watched(t, listen(t, endpoint, o))
	other := filepath.Join(filepath.Dir(o.Dir), "lock")
	held, err := os.Create(other)
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))
	require.NoError(t, errors.Join(os.Rename(other, lockOf(o)), os.Remove(socketOf(o))))
	nudge := func() *rendezvous.LostError { // it looks at once if the directory changes
		for hangs := hung(t); ; {
			now := time.Now()
			require.NoError(t, os.Chtimes(o.Dir, now, now))
			select {
			case lost := <-reports:
				return lost
			case <-hangs.Done():
				require.FailNow(t, "nothing was reported")
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	lost := nudge()
	require.False(t, lost.Ended)
	require.ErrorIs(t, lost, rendezvous.ErrInUse)
	require.NoError(t, unix.Flock(int(held.Fd()), unix.LOCK_UN))
	require.NoError(t, nudge().Err)
	require.FileExists(t, socketOf(o))
}

func exchange(t *testing.T, one, other string) {
	t.Helper()
	require.NoError(t, unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE))
}

// Two hosts whose directories are exchanged are in each other's place. Each takes its own
// name again, whether it is the first to notice or not.
func TestExchangedHosts(t *testing.T) {
	t.Parallel()
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprint(together), func(t *testing.T) {
			t.Parallel()
			o, other := inDir(t), inDir(t)
			first, second := listen(t, endpoint, o), listen(t, endpoint, other)
			firsts := watched(t, first)
			if together {
				seconds := watched(t, second)
				exchange(t, o.Dir, other.Dir)
				servedAgain(t, firsts)
				servedAgain(t, seconds)
			} else {
				exchange(t, o.Dir, other.Dir)
				lost := report(t, firsts)
				require.ErrorIs(t, lost, rendezvous.ErrInUse)
				require.False(t, lost.Ended)
				servedAgain(t, watched(t, second))
				servedAgain(t, firsts)
			}
			reach(t, first, endpoint, o)
			reach(t, second, endpoint, other)
			for l, o := range map[rendezvous.Listener]rendezvous.Options{first: o, second: other} {
				_, err := carrier.Listen(endpoint, o)
				require.ErrorIs(t, err, rendezvous.ErrInUse)
				require.NoError(t, l.Close())
				left, err := os.ReadDir(o.Dir)
				require.NoError(t, err)
				require.Empty(t, left)
			}
		})
	}
}

// A listener that waits for the host in its directory's place to leave can be closed, and
// removes nothing of that one's.
func TestCloseWhileAnotherHasTheName(t *testing.T) {
	o, other := inDir(t), inDir(t)
	first := listen(t, endpoint, o)
	listen(t, endpoint, other)
	reports := watched(t, first)
	exchange(t, o.Dir, other.Dir)
	require.False(t, report(t, reports).Ended)
	left, err := os.ReadDir(other.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "it has left")
	accepted := make(chan error, 1)
	go func() {
		_, err := first.Accept()
		accepted <- err
	}()
	require.NoError(t, first.Close())
	select {
	case err := <-accepted:
		require.ErrorIs(t, err, os.ErrClosed)
	case <-hung(t).Done():
		require.FailNow(t, "Accept does not return")
	}
	_, err = carrier.Dial(canceled(), endpoint, nil, o)
	require.ErrorIs(t, err, context.Canceled, "the client has found the other")
	_, err = carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrInUse)
}

// When another host has the name, and keeps it, the listener says which, ends, and leaves that
// one's files alone.
func TestNameThatAnotherHostHas(t *testing.T) {
	t.Parallel() // it takes seconds
	o, other := inDir(t), inDir(t)
	l := listen(t, endpoint, o)
	reports := watched(t, l)
	p := start(t, "listen", other, nil) // which does not watch
	p.expect(t, "ok")
	exchange(t, o.Dir, other.Dir)
	for _, ended := range []bool{false, true} {
		lost := report(t, reports)
		require.Equal(t, ended, lost.Ended)
		require.ErrorIs(t, lost, rendezvous.ErrInUse)
		assert.Contains(t, lost.Error(), fmt.Sprintf("process %d ", p.cmd.Process.Pid))
		assert.Contains(t, lost.Error(), socketOf(o))
	}
	require.NoError(t, l.Close())
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrInUse, "the other one goes on")
	require.FileExists(t, socketOf(o))
	require.NoFileExists(t, socketOf(other), "its own was removed")
	require.NoFileExists(t, lockOf(other))
}

// When a process without the lock listens, the listener ends at once.
func TestNameThatAnotherProcessHas(t *testing.T) {
	o, other := inDir(t), inDir(t)
	l := listen(t, endpoint, o)
	reports := watched(t, l)
	rawSocket(t, other, unix.SOCK_SEQPACKET, 5)
	require.NoError(t, os.Rename(socketOf(other), socketOf(o)))
	lost := report(t, reports)
	require.True(t, lost.Ended)
	require.ErrorIs(t, lost, rendezvous.ErrInUse)
	assert.Contains(t, lost.Error(), fmt.Sprintf("process %d ", os.Getpid()))
	require.NoError(t, l.Close())
	require.FileExists(t, socketOf(o))
	require.NoFileExists(t, lockOf(o))
}

// A listener that has not noticed yet that others have its name, or its files, removes
// only its own.
func TestCloseLeavesTheSuccessorsFiles(t *testing.T) {
	table := map[string]struct {
		removed  []string // of the first
		replaced bool     // by a second
	}{
		"nothing":              {nil, false},
		"socket":               {[]string{".sock"}, false},
		"lock file":            {[]string{".lock"}, false}, // the socket is alive
		"socket and lock file": {[]string{".sock", ".lock"}, true},
	}
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			o := inDir(t)
			first := listen(t, endpoint, o)
			for _, suffix := range row.removed {
				require.NoError(t, os.Remove(filepath.Join(o.Dir, endpoint+suffix)))
			}
			second, err := carrier.Listen(endpoint, o)
			if !row.replaced {
				require.ErrorIs(t, err, rendezvous.ErrInUse)
				require.NoError(t, first.Close())
				left, err := os.ReadDir(o.Dir)
				require.NoError(t, err)
				require.Empty(t, left)
				return
			}
			require.NoError(t, err)
			t.Cleanup(func() { _ = second.Close() })
			require.NoError(t, first.Close())
			require.FileExists(t, lockOf(o))
			reach(t, second, endpoint, o)
			_, err = carrier.Listen(endpoint, o)
			require.ErrorIs(t, err, rendezvous.ErrInUse)
		})
	}
}
