//go:build linux

package secure_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/secure/internal/nodetest"
	"github.com/sealport/sealport/transport"
)

// bridgeVariable is set in the environment of a process of this program that is a
// bridge.
const bridgeVariable = "SEALPORT_TEST_NODEBRIDGE"

// Before TestMain, which is for the other tests.
func init() {
	if os.Getenv(bridgeVariable) == "" {
		return
	}
	if err := nodetest.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bridge:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	nodeEndpoint   = "com.example.node"
	nodeMaxMessage = 1 << 20          // what Node says that it receives
	nodeLimit      = 30 * time.Second // when something hangs
)

var (
	nodeGoKey  = keys.Generate()
	nodePSK    = bytes.Repeat([]byte{0x50}, keys.PresharedKeySize)
	nodeSecret = bytes.Repeat([]byte{0x4e}, keys.PrivateKeySize)
	nodeKey, _ = keys.NewPrivateKey(nodeSecret)
)

// nodeVariant is a way to talk with Node.
type nodeVariant struct {
	name      string
	pattern   handshake.Pattern
	classical bool
	psk       bool
	attested  bool
}

var nodeVariants = []nodeVariant{
	{name: "XX classical", classical: true},
	{name: "XX hybrid"},
	{name: "IK hybrid PSK attested", pattern: handshake.IK, psk: true, attested: true},
}

// nodeTest is one test with one process of Node.
type nodeTest struct {
	*testing.T
	nodeVariant
	ctx    context.Context
	dir    string
	node   *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bytes.Buffer
	joined sync.Once

	errs chan error // of a host's OnError
}

// nodeSetup is the first line that Node reads.
type nodeSetup struct {
	Bridge    []string `json:"bridge"`
	Host      bool     `json:"host"`
	Pattern   string   `json:"pattern"`
	PSK       string   `json:"psk,omitempty"`
	Hybrid    bool     `json:"hybrid"`
	Endpoint  string   `json:"endpoint"`
	Dir       string   `json:"dir"`
	SecretKey string   `json:"secretKey"`
	Trusted   string   `json:"trusted"`
	Most      int      `json:"most"`
}

// needNode skips, or fails in CI, where node or its packages are missing.
func needNode(t *testing.T) (node, dir string) {
	t.Helper()
	dir = filepath.Join("testdata", "node")
	node, err := exec.LookPath("node")
	missing := "node"
	for _, module := range []string{"noise-handshake", "@noble/post-quantum"} {
		if err == nil {
			_, err = os.Stat(filepath.Join(dir, "node_modules", module))
			missing = "npm ci in secure/testdata/node"
		}
	}
	if err != nil && (os.Getenv("CI") != "" || os.Getenv("SEALPORT_CI") != "") {
		require.NoError(t, err, "needs %s", missing)
	}
	if err != nil {
		t.Skipf("needs %s", missing)
	}
	return node, dir
}

// TestVectorsWithNode: the vectors are what the documents say, byte for byte.
func TestVectorsWithNode(t *testing.T) {
	node, dir := needNode(t)
	cmd := exec.CommandContext(t.Context(), node, "vectors.js")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "3 vectors\n", string(out))
}

// startNode starts Node, and its bridge with further arguments.
func startNode(t *testing.T, v nodeVariant, change func(*nodeSetup), bridge ...string) *nodeTest {
	t.Helper()
	node, dir := needNode(t)
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), nodeLimit)
	t.Cleanup(cancel)
	n := &nodeTest{T: t, nodeVariant: v, ctx: ctx, dir: filepath.Join(t.TempDir(), "endpoints"), errs: make(chan error, 16)}
	n.stderr = &bytes.Buffer{}
	n.node = exec.Command(node, "peer.js")
	n.node.Dir, n.node.Stderr = dir, n.stderr
	n.node.Env = append(os.Environ(), bridgeVariable+"=1", "GORACE=atexit_sleep_ms=0")
	n.in, err = n.node.StdinPipe()
	require.NoError(t, err)
	out, err := n.node.StdoutPipe()
	require.NoError(t, err)
	n.out = bufio.NewReader(out)
	require.NoError(t, n.node.Start())
	t.Cleanup(n.join)
	setup := nodeSetup{
		Bridge:    append([]string{self}, bridge...),
		Pattern:   v.pattern.String(),
		Hybrid:    !v.classical,
		Endpoint:  nodeEndpoint,
		Dir:       n.dir,
		SecretKey: hex.EncodeToString(nodeSecret),
		Trusted:   hex.EncodeToString(nodeGoKey.Public().Bytes()),
		Most:      nodeMaxMessage,
	}
	if v.psk {
		setup.PSK = hex.EncodeToString(nodePSK)
	}
	if change != nil {
		change(&setup)
	}
	n.tell(setup)
	return n
}

// join ends Node, which ends its bridge.
func (n *nodeTest) join() {
	n.joined.Do(func() {
		_ = n.in.Close()
		kill := time.AfterFunc(nodeLimit, func() { _ = n.node.Process.Kill() })
		defer kill.Stop()
		_, _ = io.Copy(io.Discard, n.out)
		require.NoError(n, n.node.Wait(), "node: %s", n.stderr)
	})
}

func (n *nodeTest) tell(what any) {
	n.Helper()
	line, err := json.Marshal(what)
	require.NoError(n, err)
	_, err = n.in.Write(append(line, '\n'))
	require.NoError(n, err)
}

// nodeAnswer is what Node says to a command.
type nodeAnswer struct {
	Error        string `json:"error"`
	Hash         string `json:"hash"`
	PeerKey      string `json:"peerKey"`
	Size         int    `json:"size"`
	SHA256       string `json:"sha256"`
	End          string `json:"end"`
	Left         int    `json:"left"`
	Rehandshakes int    `json:"rehandshakes"`
	Records      []int  `json:"records"` // received, by type
	Skipped      int    `json:"skipped"`
}

// Types of records, as in Records.
const (
	recordRekey  = 2
	recordSwitch = 4
)

// try has Node do something.
func (n *nodeTest) try(command string, more map[string]any) (a nodeAnswer) {
	n.Helper()
	what := map[string]any{"do": command}
	for k, v := range more {
		what[k] = v
	}
	n.tell(what)
	return n.answer()
}

func (n *nodeTest) answer() (a nodeAnswer) {
	n.Helper()
	line, err := n.out.ReadBytes('\n')
	if err != nil {
		n.join()
	}
	require.NoError(n, err, "node: %s", n.stderr)
	require.NoError(n, json.Unmarshal(line, &a))
	return a
}

// do is try for what must succeed.
func (n *nodeTest) do(command string, more map[string]any) nodeAnswer {
	n.Helper()
	a := n.try(command, more)
	require.Empty(n, a.Error, command)
	return a
}

// content is a message that Node makes in the same way.
func content(size, seed int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(seed + i*7 + i>>8)
	}
	return b
}

// requireMessage checks what Node received.
func (n *nodeTest) requireMessage(a nodeAnswer, want []byte) {
	n.Helper()
	sum := sha256.Sum256(want)
	require.Equal(n, len(want), a.Size)
	require.Equal(n, hex.EncodeToString(sum[:]), a.SHA256)
}

// sizes are of messages: nothing, little, a frame and a bit, and several pieces.
var nodeSizes = []int{0, 1, 2, 1000, 64 << 10, 65_792 - 24, 65_792 - 23, 300 << 10, 0, nodeMaxMessage}

func (n *nodeTest) transport() transport.Config {
	return transport.Config{
		Dir:            n.dir,
		Attested:       n.attested,
		MaxMessageSize: nodeMaxMessage,
	}
}

func (n *nodeTest) config(change func(*secure.Config)) *secure.Config {
	c := &secure.Config{
		Transport: n.transport(),
		Key:       nodeGoKey,
		Trust:     keys.Pin(nodeKey.Public()),
		Pattern:   n.pattern,
		Classical: n.classical,
	}
	if n.psk {
		var err error
		c.PSK, err = keys.NewPreshared(nodePSK)
		require.NoError(n, err)
	}
	if change != nil {
		change(c)
	}
	return c
}

// failure waits for what a host has against a connection.
func (n *nodeTest) failure() error {
	n.Helper()
	select {
	case err := <-n.errs:
		return err
	case <-n.ctx.Done():
		require.FailNow(n, "no error is reported")
		return nil
	}
}

// none checks that a host has had nothing against anybody.
func (n *nodeTest) none() {
	n.Helper()
	select {
	case err := <-n.errs:
		require.NoError(n, err)
	default:
	}
}
