package secure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// TestWithoutProc: what docs/ARCHITECTURE.md says of systems without /proc.
func TestWithoutProc(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SYS_CHROOT, CAP_SYS_ADMIN)")
	}
	for _, role := range []string{"in an empty root", "with /proc unmounted"} {
		t.Run(role, func(t *testing.T) {
			w := newWorld(t)
			w.echo(t, hostConfig(nil))
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+w.dir, "GORACE=atexit_sleep_ms=0")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "ready\n", string(out))
		})
	}
}

// inEmptyRoot has nothing but the directory of endpoints.
func inEmptyRoot(dir string) {
	must(syscall.Chroot(dir))
	must(syscall.Chdir("/"))
	withoutProc("/")
}

func procUnmounted(dir string) {
	must(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must(syscall.Unmount("/proc", syscall.MNT_DETACH))
	withoutProc(dir)
}

// withoutProc checks what works and what does not. There is a secure host in dir.
func withoutProc(dir string) {
	if _, err := os.Stat("/proc/self"); !errors.Is(err, fs.ErrNotExist) {
		must(fmt.Errorf("there is a /proc: %w", err))
	}
	_, err := secure.Dial(context.Background(), endpoint, clientConfig(&transport.Config{Dir: dir}))
	mustNeedProc(err)
	// In another directory than the host's, and in one that fits into no socket's address.
	for _, name := range []string{"other", strings.Repeat("d", 200)} {
		dir := filepath.Join(dir, name)
		c := &transport.Config{Dir: dir, NoInProcess: true}
		_, err = transport.Dial(context.Background(), endpoint, c)
		if !errors.Is(err, transport.ErrNoHost) {
			must(fmt.Errorf("without a host: %w", err))
		}
		must(echoOnce(c))
		must(echoOnce(&transport.Config{Dir: dir, NoInProcess: true, Attested: true}))
		_, err = secure.NewSecureHost(endpoint, echoMessage, hostConfig(c))
		mustNeedProc(err)
		checkPolicies(c)
	}
}

// mustNeedProc: what can't work here says what it needs.
func mustNeedProc(err error) {
	if !errors.Is(err, peer.ErrUnavailable) || !strings.Contains(err.Error(), "/proc") {
		must(fmt.Errorf("not an error about /proc: %w", err))
	}
}

// echoOnce has a host and a client exchange a message.
func echoOnce(c *transport.Config) error {
	h, err := transport.NewHost(endpoint, echoMessage, c)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := transport.NewClient[[]byte](ctx, endpoint, c)
	if err != nil {
		return err
	}
	defer client.Close()
	sent := []byte("message")
	if err := client.Send(ctx, sent); err != nil {
		return err
	}
	got, err := client.Receive(ctx)
	if err == nil && !bytes.Equal(got, sent) {
		err = fmt.Errorf("received %q", got)
	}
	return err
}

// checkPolicies evaluates policies about this process, as a client.
func checkPolicies(c *transport.Config) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l, err := transport.Listen(endpoint, c)
	must(err)
	client, err := transport.Dial(ctx, endpoint, c)
	must(err)
	host, err := l.Accept(ctx)
	must(err)
	id := host.Peer()
	for _, p := range []peer.Policy{peer.Default(), peer.SameUser(), peer.Root(), peer.UIDs(0), peer.GIDs(0), peer.Anyone()} {
		must(peer.Check(ctx, p, id))
	}
	for _, p := range []peer.Policy{peer.GIDs(7), peer.Executable("/"), peer.Unit("some.service")} {
		for _, p := range []peer.Policy{p, peer.Not(p)} {
			mustNeedProc(peer.Check(ctx, p, id))
		}
	}
	// Older kernels can't prove it with /proc either.
	if err := peer.Check(ctx, peer.Descendant(), id); !errors.Is(err, peer.ErrUnavailable) {
		must(fmt.Errorf("Descendant: %w", err))
	}
	_, err = id.Groups()
	mustNeedProc(err)
	_, err = id.Executable()
	mustNeedProc(err)
	_, err = id.Digest(ctx, peer.SHA256)
	mustNeedProc(err)
	_, err = id.Cgroup()
	mustNeedProc(err)
	mustNeedProc(id.Recheck(ctx))
	if id.Binding() != nil {
		must(errors.New("there is a binding"))
	}
	must(errors.Join(client.Close(), host.Close(), l.Close()))
}
