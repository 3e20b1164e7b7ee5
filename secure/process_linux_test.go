package secure_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// A process of these tests plays the part that roleVariable names, in the folder
// that folderVariable names.
const (
	roleVariable   = "SEALPORT_SECURE_ROLE"
	folderVariable = "SEALPORT_SECURE_FOLDER"
)

var roles = map[string]func(folder string){
	"plain echo":      func(folder string) { plainEcho(&transport.Config{Dir: folder}) },
	"attested echo":   func(folder string) { plainEcho(&transport.Config{Dir: folder, Attested: true}) },
	"secure echo":     func(folder string) { secureEcho(&transport.Config{Dir: folder}) },
	"secure attested": func(folder string) { secureEcho(&transport.Config{Dir: folder, Attested: true}) },
	"staller":         stall,
}

func echoMessage(m transport.Message[[]byte]) { _ = m.Reply(context.Background(), m.Body) }

func plainEcho(c *transport.Config) {
	_, err := transport.NewHost(endpoint, echoMessage, c)
	must(err)
}

func secureEcho(c *transport.Config) {
	_, err := secure.NewSecureHost(endpoint, echoMessage, hostConfig(c))
	must(err)
}

// stalled is how many handshakes a staller begins.
const stalled = 40

// stall says hello many times and then nothing: each takes a place for a
// half-open handshake, or waits for one.
func stall(folder string) {
	hello := message.Hello{Version: message.Version, Mode: message.Secure, MaxMessage: 1 << 20}
	for range stalled {
		go func() {
			out, err := rendezvous.Dial(context.Background(), endpoint, hello.Append(nil), rendezvous.Options{Dir: folder})
			if err == nil {
				_, _ = out.Link()
			}
		}()
	}
}

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// play plays a part until its parent ends.
func play(role string) {
	roles[role](os.Getenv(folderVariable))
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
	cmd.Env = append(os.Environ(), roleVariable+"="+role, folderVariable+"="+w.folder)
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

// sharedDir is a folder that other users can enter.
func sharedDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sealport-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}
