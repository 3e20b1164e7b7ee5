package secure_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// A process of these tests plays the part that roleVariable names, in the dir
// that dirVariable names.
const (
	roleVariable = "SEALPORT_SECURE_ROLE"
	dirVariable  = "SEALPORT_SECURE_DIR"
)

var roles = map[string]func(dir string){
	"plain echo":           func(dir string) { plainEcho(&transport.Config{Dir: dir}) },
	"attested echo":        func(dir string) { plainEcho(&transport.Config{Dir: dir, Attested: true}) },
	"secure echo":          func(dir string) { secureEcho(&transport.Config{Dir: dir}) },
	"secure attested":      func(dir string) { secureEcho(&transport.Config{Dir: dir, Attested: true}) },
	"staller":              stall,
	"unknown client":       unknownClient,
	"in an empty root":     inEmptyRoot,
	"with /proc unmounted": procUnmounted,
}

func echoMessage(_ context.Context, m transport.Message[[]byte]) {
	_ = m.Reply(context.Background(), m.Body)
}

func plainEcho(c *transport.Config) {
	_, err := transport.NewHost(endpoint, echoMessage, c)
	must(err)
}

func secureEcho(c *transport.Config) {
	_, err := secure.NewSecureHost(endpoint, echoMessage, hostConfig(c))
	must(err)
}

// unknownClient connects with a key that the host does not know, and checks what it
// hears.
func unknownClient(dir string) {
	c := clientConfig(&transport.Config{Dir: dir}, keyed(otherKey))
	_, err := secure.Dial(context.Background(), endpoint, c)
	if !errors.Is(err, secure.ErrHandshake) || !strings.Contains(fmt.Sprint(err), "the host did not accept this client's key "+otherKey.Public().String()) {
		must(fmt.Errorf("an unknown client got %w", err))
	}
}

// TestRefusedKeyOfAnotherProcess: the host's log names the other process and its
// whole key.
func TestRefusedKeyOfAnotherProcess(t *testing.T) {
	w, log := newWorld(t), newLog()
	w.echo(t, hostConfig(&transport.Config{Logger: slog.New(log)}))
	pid := w.start(t, "unknown client", 0)
	logged := await(t, log.warnings)
	require.Equal(t, "client key refused", logged.message)
	require.Equal(t, otherKey.Public().String(), logged.attrs["key"])
	require.Contains(t, logged.attrs["peer"], fmt.Sprint("pid ", pid))
	require.Empty(t, logged.attrs["file"])
}

// stalled is how many handshakes a staller has at a time.
const stalled = 40

// stall says hello many times and then nothing: each takes a slot for a half-open
// handshake, or waits for one. When it is dropped it comes again.
func stall(dir string) {
	hello := wire.Hello{Version: wire.Version, Mode: wire.Secure, MaxMessage: 1 << 20, Content: "bytes"}
	begun := make(chan struct{}, stalled)
	for range stalled {
		go func() {
			for {
				out, err := system().Dial(context.Background(), endpoint, hello.Append(nil), rendezvous.Options{Dir: dir})
				if err != nil || !out.Accepted() {
					continue
				}
				l, err := out.Link()
				must(err)
				begun <- struct{}{}
				<-l.Gone().Done()
				_ = l.Close()
			}
		}()
	}
	for range stallSlots - 1 { // one is another client's
		<-begun
	}
	go func() {
		for range begun {
		}
	}()
}

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// system is the operating system's carrier.
func system() rendezvous.Carrier {
	c, err := rendezvous.System()
	must(err)
	return c
}

// play plays a part until its parent ends.
func play(role string) {
	roles[role](os.Getenv(dirVariable))
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// start starts a process and waits until it is ready. It is killed when the test
// ends. A uid other than 0 is that of the process.
func (w *world) start(t *testing.T, role string, uid uint32) int {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if uid != 0 {
		self = executableForAll(t, self)
	}
	cmd := exec.Command(self)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+w.dir)
	cmd.Stderr = os.Stderr
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready", strings.TrimSpace(line))
	return cmd.Process.Pid
}

// executableForAll copies the test binary to where other users may run it.
func executableForAll(t *testing.T, self string) string {
	dir := sharedDir(t)
	binary, err := os.ReadFile(self)
	require.NoError(t, err)
	path := dir + "/test"
	require.NoError(t, os.WriteFile(path, binary, 0o755))
	return path
}

// sharedDir is a dir that other users can enter.
func sharedDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sealport-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}
