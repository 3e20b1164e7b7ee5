//go:build linux

package secure_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/nodebridge"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
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
	if err := nodebridge.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
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
	nodeSecret = bytes.Repeat([]byte{0x4e}, keys.PrivateKeySize)
	nodeKey, _ = keys.NewPrivateKey(nodeSecret)
)

// nodeVariant is a way to talk with Node.
type nodeVariant struct {
	name      string
	classical bool
	attested  bool
}

var nodeVariants = []nodeVariant{
	{"classical", true, false},
	{"hybrid", false, false},
	{"hybrid attested", false, true},
}

// nodeTest is one test with one process of Node.
type nodeTest struct {
	*testing.T
	nodeVariant
	ctx    context.Context
	folder string
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
	Hybrid    bool     `json:"hybrid"`
	Endpoint  string   `json:"endpoint"`
	Folder    string   `json:"folder"`
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
	n := &nodeTest{T: t, nodeVariant: v, ctx: ctx, folder: filepath.Join(t.TempDir(), "endpoints"), errs: make(chan error, 16)}
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
		Hybrid:    !v.classical,
		Endpoint:  nodeEndpoint,
		Folder:    n.folder,
		SecretKey: hex.EncodeToString(nodeSecret),
		Trusted:   hex.EncodeToString(nodeGoKey.Public().Bytes()),
		Most:      nodeMaxMessage,
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
	Error    string `json:"error"`
	Hash     string `json:"hash"`
	PeerKey  string `json:"peerKey"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"`
	End      string `json:"end"`
	Left     int    `json:"left"`
	Renewals int    `json:"renewals"`
	Records  []int  `json:"records"` // received, by type
	Skipped  int    `json:"skipped"`
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
		Folder:         n.folder,
		Attested:       n.attested,
		MaxMessageSize: nodeMaxMessage,
		OnError:        func(err error) { n.errs <- err },
	}
}

func (n *nodeTest) config(change func(*secure.Config)) *secure.Config {
	c := &secure.Config{
		Transport: n.transport(),
		Key:       nodeGoKey,
		Trust:     keys.Pin(nodeKey.Public()),
		Classical: n.classical,
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

// echoHost is a secure host that sends every message back.
func (n *nodeTest) echoHost(change func(*secure.Config)) *transport.Host[[]byte] {
	n.Helper()
	h, err := secure.NewSecureHost(nodeEndpoint, func(m transport.Message[[]byte]) {
		if !m.PeerKey().Equal(nodeKey.Public()) {
			n.errs <- errors.New("not Node's key")
		}
		// The connection may end meanwhile; then there is an error elsewhere.
		_ = m.Reply(n.ctx, m.Body)
	}, n.config(change))
	require.NoError(n, err)
	n.Cleanup(func() { require.NoError(n, h.Close()) })
	return h
}

// nodeClient starts a host and Node as its client.
func nodeClient(t *testing.T, v nodeVariant, change func(*secure.Config), bridge ...string) (*nodeTest, *transport.Host[[]byte]) {
	t.Helper()
	// The host has to be there when Node begins.
	early := &nodeTest{T: t, nodeVariant: v, folder: filepath.Join(t.TempDir(), "endpoints"), errs: make(chan error, 16), ctx: t.Context()}
	needNode(t)
	h := early.echoHost(change)
	n := startNode(t, v, func(s *nodeSetup) { s.Folder = early.folder }, bridge...)
	n.folder, n.errs = early.folder, early.errs
	return n, h
}

// TestNodeIsClient: an independent implementation talks to a secure host.
func TestNodeIsClient(t *testing.T) {
	for _, v := range nodeVariants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n, h := nodeClient(t, v, func(c *secure.Config) { c.RekeyInterval = time.Millisecond })
			a := n.do("connect", nil)
			require.Equal(t, hex.EncodeToString(nodeGoKey.Public().Bytes()), a.PeerKey)
			n.talk()

			stats := n.do("stats", nil)
			require.Equal(t, 3, stats.Renewals)
			require.Equal(t, 3, stats.Records[recordSwitch])
			require.Positive(t, stats.Records[recordRekey], "the host has changed its key")

			// Either side may end first.
			n.do("close", nil)
			require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
			require.Eventually(t, func() bool { return h.Stats().Connections == 0 }, nodeLimit, time.Millisecond)
			n.none()
			require.NoError(t, h.Close())
		})
	}
}

// talk has Node send messages of all kinds to a host that echoes them, with
// changes of keys in between.
func (n *nodeTest) talk() {
	seed := 0
	send := func(sizes ...int) {
		n.Helper()
		for i, size := range sizes {
			n.do("send", map[string]any{"size": size, "seed": seed + i})
		}
	}
	receive := func(sizes ...int) {
		n.Helper()
		for _, size := range sizes {
			n.requireMessage(n.do("receive", nil), content(size, seed))
			seed++
		}
	}
	for round := range 3 {
		// One after the other, then many at once.
		for _, size := range nodeSizes {
			send(size)
			receive(size)
		}
		send(nodeSizes...)
		receive(nodeSizes...)
		n.do("together", map[string]any{"sizes": []int{5, 0, 77}, "seed": seed})
		for _, size := range []int{5, 0, 77} {
			n.requireMessage(n.do("receive", nil), content(size, seed))
		}
		n.do("rekey", nil)
		send(10, 11)
		n.do("rekey", nil)
		n.do("rekey", nil)
		receive(10, 11)
		for range round {
			n.do("leaveout", nil)
		}
		send(12)
		receive(12)
		// Messages are under way while the keys are replaced.
		many := make([]int, 50)
		for i := range many {
			many[i] = i
		}
		send(many...)
		n.do("renew", nil)
		receive(many...)
		send(13)
		receive(13)
	}
}

// TestNodeIsClientAndHostEnds: a host that shuts down says goodbye.
func TestNodeIsClientAndHostEnds(t *testing.T) {
	n, h := nodeClient(t, nodeVariants[0], nil)
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 3, "seed": 0})
	n.requireMessage(n.do("receive", nil), content(3, 0))
	require.NoError(t, h.Shutdown(n.ctx))
	require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
	n.do("leave", nil)
	n.none()
}

// TestNodeIsClientAndBreaksOff: an end that nobody has sealed is no end.
func TestNodeIsClientAndBreaksOff(t *testing.T) {
	for _, command := range []string{"cut", "leave"} {
		t.Run(command, func(t *testing.T) {
			n, _ := nodeClient(t, nodeVariants[0], nil)
			n.do("connect", nil)
			n.do("send", map[string]any{"size": 3, "seed": 0})
			n.do("receive", nil)
			n.do(command, nil)
			require.ErrorIs(t, n.failure(), secure.ErrTruncated)
		})
	}
}

// revocable trusts Node until it is told not to.
type revocable struct {
	keys.Trust
	revoked chan func()
}

func (r revocable) OnRevoke(_ string, _ keys.PublicKey, revoked func()) func() {
	r.revoked <- revoked
	return func() {}
}

// TestNodeIsClientAndRevoked: Node takes a connection that a host breaks off for
// truncated.
func TestNodeIsClientAndRevoked(t *testing.T) {
	trust := revocable{keys.Pin(nodeKey.Public()), make(chan func(), 1)}
	n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Trust = trust })
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 3, "seed": 0})
	n.do("receive", nil)
	(<-trust.revoked)()
	require.Equal(t, "truncated", n.do("end", nil).End)
	require.ErrorIs(t, n.failure(), secure.ErrRevoked)
}

// TestNodeAndTamperedRecords: both sides refuse a record in which a bit was
// changed on the way.
func TestNodeAndTamperedRecords(t *testing.T) {
	t.Run("to Go", func(t *testing.T) {
		// Of Node's frames two are the handshake's.
		n, _ := nodeClient(t, nodeVariants[0], nil, "-flip-out", "4")
		n.do("connect", nil)
		n.do("send", map[string]any{"size": 3, "seed": 0})
		n.requireMessage(n.do("receive", nil), content(3, 0))
		n.none()
		n.do("send", map[string]any{"size": 3, "seed": 1})
		require.ErrorIs(t, n.failure(), secure.ErrRecord)
		n.do("end", nil)
	})
	t.Run("to Node", func(t *testing.T) {
		// Of the host's frames one is the handshake's.
		n, _ := nodeClient(t, nodeVariants[0], nil, "-flip-in", "3")
		n.do("connect", nil)
		n.do("send", map[string]any{"size": 3, "seed": 0})
		n.requireMessage(n.do("receive", nil), content(3, 0))
		n.do("send", map[string]any{"size": 3, "seed": 1})
		require.Equal(t, nodeAnswer{End: "record does not authenticate"}, n.do("end", nil))
		require.ErrorIs(t, n.failure(), secure.ErrTruncated, "Node is gone without a word")
	})
	t.Run("handshake", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[1], nil, "-flip-out", "2")
		// Node has sent its last message, so for it the handshake is done.
		n.do("connect", nil)
		require.ErrorIs(t, n.failure(), handshake.ErrAuthentication)
		require.Equal(t, "truncated", n.do("end", nil).End)
	})
}

// TestNodeIsRefused: for its key, and for another handshake than the host's.
func TestNodeIsRefused(t *testing.T) {
	t.Run("key", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Trust = keys.Allow(keys.Generate().Public()) })
		n.do("connect", nil)
		err := n.failure()
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, keys.ErrUntrusted)
		require.Equal(t, "truncated", n.do("end", nil).End)
	})
	t.Run("offer", func(t *testing.T) {
		n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Classical = false })
		require.Equal(t, "truncated", n.try("connect", nil).Error)
		require.ErrorIs(t, n.failure(), handshake.ErrOffer)
	})
}

// TestNodeRenewsTooOften: a host bounds what a client makes it compute.
func TestNodeRenewsTooOften(t *testing.T) {
	n, _ := nodeClient(t, nodeVariants[0], nil)
	n.do("connect", nil)
	begin := time.Now()
	count := 0
	for n.try("renew", nil).Error == "" {
		count++
		require.Less(t, count, 200)
	}
	require.GreaterOrEqual(t, count, 8)
	require.LessOrEqual(t, count, 9+int(time.Since(begin)/time.Second))
	err := n.failure()
	require.ErrorIs(t, err, secure.ErrHandshake)
	require.ErrorIs(t, err, transport.ErrProtocol)
}

// nodeHost starts Node as a host.
func nodeHost(t *testing.T, v nodeVariant, bridge ...string) *nodeTest {
	t.Helper()
	if v.attested {
		bridge = append(bridge, "-attested")
	}
	n := startNode(t, v, func(s *nodeSetup) { s.Host = true }, bridge...)
	n.do("listen", nil)
	return n
}

// dial connects a secure client to Node.
func (n *nodeTest) dial(change func(*secure.Config)) *transport.Client[[]byte] {
	n.Helper()
	c, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(change))
	require.NoError(n, err)
	n.Cleanup(func() {
		if err := c.Close(); err != nil {
			require.ErrorIs(n, err, transport.ErrDisconnected)
		}
	})
	return c
}

// TestNodeIsHost: an independent implementation answers a secure client.
func TestNodeIsHost(t *testing.T) {
	for _, v := range nodeVariants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n := nodeHost(t, v)
			c := n.dial(func(c *secure.Config) {
				c.RekeyInterval = time.Millisecond
				c.RehandshakeInterval = 250 * time.Millisecond
			})
			a := n.do("connect", nil)
			require.Equal(t, hex.EncodeToString(nodeGoKey.Public().Bytes()), a.PeerKey)
			require.True(t, c.PeerKey().Equal(nodeKey.Public()))
			require.NotEqual(t, os.Getpid(), int(c.Peer().Token().PID()))

			// One after the other, then many at once.
			for i, size := range nodeSizes {
				n.tell(map[string]any{"do": "echo", "count": 1})
				n.exchange(c, []int{size}, i)
			}
			many := make([]int, 300)
			for i := range many {
				many[i] = nodeSizes[i%(len(nodeSizes)-1)]/2 + i
			}
			n.tell(map[string]any{"do": "echo", "count": len(many)})
			n.exchange(c, many, 0)

			// Node's own changes of keys.
			n.do("rekey", nil)
			n.do("leaveout", nil)
			n.do("send", map[string]any{"size": 77, "seed": 7})
			got, err := c.Receive(n.ctx)
			require.NoError(t, err)
			require.Equal(t, content(77, 7), got)

			// The client's, while it talks.
			for stats := n.do("stats", nil); stats.Renewals < 2 || stats.Records[recordRekey] < 10; stats = n.do("stats", nil) {
				require.NoError(t, n.ctx.Err())
				n.tell(map[string]any{"do": "echo", "count": 1})
				n.exchange(c, []int{100}, stats.Renewals)
			}

			require.NoError(t, c.Close())
			require.Equal(t, nodeAnswer{End: "close"}, n.do("end", nil))
			n.do("close", nil)
			n.do("leave", nil)
		})
	}
}

// exchange sends messages to Node, which echoes them, and compares.
func (n *nodeTest) exchange(c *transport.Client[[]byte], sizes []int, seed int) {
	n.Helper()
	sent := make(chan error, 1)
	go func() {
		for i, size := range sizes {
			if err := c.Send(n.ctx, content(size, seed+i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.Flush(n.ctx)
	}()
	for i, size := range sizes {
		got, err := c.Receive(n.ctx)
		require.NoError(n, err)
		require.True(n, bytes.Equal(content(size, seed+i), got), "message %d of %d bytes", i, size)
	}
	require.NoError(n, <-sent)
	require.Empty(n, n.answer().Error)
}

// TestNodeIsHostAndEnds: a client sees Node's goodbye, and what is none.
func TestNodeIsHostAndEnds(t *testing.T) {
	for command, want := range map[string]error{"close": io.EOF, "cut": secure.ErrTruncated} {
		t.Run(command, func(t *testing.T) {
			n := nodeHost(t, nodeVariants[0])
			c := n.dial(nil)
			n.do("connect", nil)
			n.do("send", map[string]any{"size": 5, "seed": 1})
			n.do(command, nil)
			got, err := c.Receive(n.ctx)
			require.NoError(t, err)
			require.Equal(t, content(5, 1), got)
			_, err = c.Receive(n.ctx)
			require.ErrorIs(t, err, transport.ErrDisconnected)
			require.ErrorIs(t, err, want)
			require.Equal(t, command == "cut", errors.Is(err, transport.ErrProtocol))
		})
	}
}

// TestNodeIsHostAndTampered: as TestNodeAndTamperedRecords, from the client's side.
func TestNodeIsHostAndTampered(t *testing.T) {
	n := nodeHost(t, nodeVariants[0], "-flip-out", "3")
	c := n.dial(nil)
	n.do("connect", nil)
	n.do("send", map[string]any{"size": 5, "seed": 1})
	n.do("send", map[string]any{"size": 5, "seed": 2})
	got, err := c.Receive(n.ctx)
	require.NoError(t, err)
	require.Equal(t, content(5, 1), got)
	_, err = c.Receive(n.ctx)
	require.ErrorIs(t, err, transport.ErrDisconnected)
	require.ErrorIs(t, err, secure.ErrRecord)
}

// TestNodeIsHostAndRefuses: the client finds out which side has refused.
func TestNodeIsHostAndRefuses(t *testing.T) {
	other := hex.EncodeToString(keys.Generate().Public().Bytes())
	t.Run("plain", func(t *testing.T) {
		n := nodeHost(t, nodeVariants[0])
		plain := n.transport()
		_, err := transport.Dial(n.ctx, nodeEndpoint, &plain)
		require.ErrorIs(t, err, transport.ErrMode)
	})
	t.Run("by us", func(t *testing.T) {
		n := nodeHost(t, nodeVariants[0])
		_, err := secure.NewSecureClient[[]byte](n.ctx, nodeEndpoint, n.config(func(c *secure.Config) { c.Trust = keys.Pin(keys.Generate().Public()) }))
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, keys.ErrUntrusted)
		require.Equal(t, "truncated", n.try("connect", nil).Error)
	})
	t.Run("by Node", func(t *testing.T) {
		n := startNode(t, nodeVariants[0], func(s *nodeSetup) { s.Host, s.Trusted = true, other })
		n.do("listen", nil)
		// For the client the handshake is done with its last message. A Client
		// would go on to look for another host.
		c, err := secure.Dial(n.ctx, nodeEndpoint, n.config(nil))
		require.NoError(t, err)
		defer c.Close()
		require.Contains(t, n.try("connect", nil).Error, "not trusted")
		_, err = c.Receive(n.ctx)
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, transport.ErrPeerGone)
	})
}

// TestNodeIsRefusedByPolicy: the peer that a host judges is the bridge, which said
// hello.
func TestNodeIsRefusedByPolicy(t *testing.T) {
	n, _ := nodeClient(t, nodeVariants[0], func(c *secure.Config) { c.Transport.Peer = peer.UIDs(uint32(os.Getuid()) + 1) })
	require.True(t, strings.HasPrefix(n.try("connect", nil).Error, "refused with status 1"))
	var refused *peer.RefusedError
	require.ErrorAs(t, n.failure(), &refused)
}
