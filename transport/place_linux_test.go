package transport_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// rootVariable names the directory that is a process's root.
const rootVariable = "SEALPORT_TEST_ROOT"

// lines are what a logger has written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// with returns the lines that contain something.
func (l *lines) with(what string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

// TestDefaultDirectories: where endpoints of root are if there is no runtime directory.
func TestDefaultDirectories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SYS_CHROOT)")
	}
	root := os.Getenv(rootVariable)
	if root == "" { // /run is the test's own only in a process with a root of its own
		root, err := os.MkdirTemp("", "sealport-test-")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(root)) })
		require.NoError(t, os.Chmod(root, 0o755))
		require.NoError(t, os.Mkdir(root+"/run", 0o755))
		require.NoError(t, os.Mkdir(root+"/tmp", 0o755))
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDefaultDirectories$", "-test.v")
		cmd.Env = append(os.Environ(), rootVariable+"="+root, "TMPDIR="+root+"/tmp", "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestDefaultDirectories ")
		return
	}
	require.NoError(t, syscall.Chroot(root))
	require.NoError(t, syscall.Chdir("/"))
	t.Setenv("XDG_RUNTIME_DIR", "/nowhere")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const endpoint = "com.example.test"
	echo := func(_ context.Context, m transport.Message[string]) {
		assert.NoError(t, m.Reply(context.Background(), m.Body))
	}
	dial := func(c *transport.Config) (*transport.Client[string], error) {
		c.NoInProcess = true
		return transport.NewClient[string](ctx, endpoint, c)
	}

	shared, err := transport.NewHost(endpoint, echo, &transport.Config{Shared: true, Peer: peer.Anyone()})
	require.NoError(t, err)
	_, err = dial(&transport.Config{})
	require.ErrorIs(t, err, transport.ErrNoHost)
	require.NoDirExists(t, "/run/sealport")
	client, err := dial(&transport.Config{Dir: "/run/sealport-shared"})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	// One in this process finds it in the same place.
	client, err = transport.NewClient[string](ctx, endpoint, &transport.Config{Dir: "/run/sealport-shared"})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	_, err = transport.NewClient[string](ctx, endpoint, nil)
	require.ErrorIs(t, err, transport.ErrNoHost)

	// A private host of the same name is another endpoint. Both sides log where it is, once.
	var hostLog, clientLog lines
	hostConfig := &transport.Config{Logger: slog.New(slog.NewTextHandler(&hostLog, nil))}
	private, err := transport.NewHost(endpoint, echo, hostConfig)
	require.NoError(t, err)
	client, err = dial(&transport.Config{Logger: slog.New(slog.NewTextHandler(&clientLog, nil))})
	require.NoError(t, err)
	require.NoError(t, private.Close())
	private, err = transport.NewHost(endpoint, echo, hostConfig)
	require.NoError(t, err)
	_, err = client.Receive(ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)
	require.NoError(t, client.Send(ctx, "to the next host"))
	got, err := client.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, "to the next host", got)
	const place = "dir=/run/sealport "
	for log, want := range map[*lines]int{&hostLog: 2, &clientLog: 1} {
		found := log.with(place)
		require.Len(t, found, want)
		assert.Contains(t, found[0], "/nowhere")
		assert.Contains(t, found[0], "no such file or directory")
	}
	for dir, mode := range map[string]os.FileMode{"/run/sealport": 0o700, "/run/sealport-shared": 0o755} {
		st, err := os.Stat(dir)
		require.NoError(t, err)
		assert.Equal(t, mode, st.Mode().Perm(), dir)
	}
	require.NoError(t, client.Close())
	require.NoError(t, private.Close())
	require.NoError(t, shared.Close())
}
