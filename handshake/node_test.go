package handshake_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// nodePeer is a process that speaks Noise with another implementation; see
// testdata/node/peer.js.
type nodePeer struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr bytes.Buffer
}

// nodeConfig is the first frame.
type nodeConfig struct {
	Library      string     `json:"library"`
	Pattern      string     `json:"pattern"`
	Initiator    bool       `json:"initiator"`
	Prologue     hexBytes   `json:"prologue"`
	SecretKey    hexBytes   `json:"secretKey,omitempty"`
	PublicKey    hexBytes   `json:"publicKey,omitempty"`
	RemoteStatic hexBytes   `json:"remoteStatic,omitempty"`
	PSK          hexBytes   `json:"psk,omitempty"`
	Payloads     []hexBytes `json:"payloads"`
}

// nodeResult is the last frame.
type nodeResult struct {
	SendKey      hexBytes   `json:"sendKey"`
	ReceiveKey   hexBytes   `json:"receiveKey"`
	Hash         hexBytes   `json:"hash"`
	RemoteStatic hexBytes   `json:"remoteStatic"`
	Payloads     []hexBytes `json:"payloads"`
}

// needNode skips, or fails in CI, where node or the libraries are missing.
func needNode(t *testing.T) (node, dir string) {
	t.Helper()
	dir = filepath.Join("testdata", "node")
	node, err := exec.LookPath("node")
	missing := "node"
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules", "noise-protocol"))
		missing = "npm ci in handshake/testdata/node"
	}
	if err != nil && os.Getenv("CI") != "" {
		require.NoError(t, err, "needs %s", missing)
	}
	if err != nil {
		t.Skipf("needs %s", missing)
	}
	return node, dir
}

func startNode(t *testing.T, config nodeConfig) *nodePeer {
	t.Helper()
	node, dir := needNode(t)
	p := &nodePeer{t: t, cmd: exec.CommandContext(t.Context(), node, "peer.js")}
	p.cmd.Dir, p.cmd.Stderr = dir, &p.stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	p.out, err = p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	js, err := json.Marshal(config)
	require.NoError(t, err)
	p.write(js)
	return p
}

func (p *nodePeer) write(content []byte) {
	p.t.Helper()
	_, err := p.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...))
	require.NoError(p.t, err)
}

func (p *nodePeer) read() []byte {
	p.t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(p.out, head); err != nil {
		_ = p.cmd.Wait()
		require.NoError(p.t, err, "node: %s", p.stderr.String())
	}
	n := binary.BigEndian.Uint32(head)
	require.LessOrEqual(p.t, n, uint32(1<<16))
	content := make([]byte, n)
	_, err := io.ReadFull(p.out, content)
	require.NoError(p.t, err)
	return content
}

// result reads the last frame and waits for the process to end.
func (p *nodePeer) result() (r nodeResult) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal(p.read(), &r))
	require.NoError(p.t, p.in.Close())
	require.NoError(p.t, p.cmd.Wait(), "node: %s", p.stderr.String())
	return r
}

// TestInteropWithNode does every pattern that two other implementations know, in
// both roles, each in a process of its own.
func TestInteropWithNode(t *testing.T) {
	xx := variant{"XX", handshake.XX, true, false}
	ik := variant{"IK", handshake.IK, true, false}
	nk := variant{"NK", handshake.NK, true, false}
	nn := variant{"NNpsk0", handshake.NN, true, true}
	for _, tc := range []struct {
		library string
		v       variant
	}{
		{"noise-handshake", xx}, {"noise-handshake", ik}, {"noise-handshake", nn},
		{"noise-protocol", xx}, {"noise-protocol", ik}, {"noise-protocol", nk},
	} {
		for _, role := range []handshake.Role{handshake.Initiator, handshake.Responder} {
			t.Run(tc.library+"/"+tc.v.name+"/we are "+role.String(), func(t *testing.T) {
				t.Parallel()
				interop(t, tc.library, tc.v, role)
			})
		}
	}
}

func interop(t *testing.T, library string, v variant, role handshake.Role) {
	c, h := v.configs()
	ours, theirs := c, h
	if role == handshake.Responder {
		ours, theirs = h, c
	}
	var seen keys.PublicKey
	if ours.VerifyPeer != nil {
		ours.VerifyPeer = func(key keys.PublicKey, _ []byte) error {
			seen = key
			return nil
		}
	}
	us, err := handshake.New(ours)
	require.NoError(t, err)

	// The offer is ours, not Noise's: a client of ours shows what it is.
	probe, err := handshake.New(c)
	require.NoError(t, err)
	first, err := probe.WriteMessage(nil, nil)
	require.NoError(t, err)
	offer := first[:8]

	config := nodeConfig{
		Library:   library,
		Pattern:   v.name,
		Initiator: role == handshake.Responder,
		Prologue:  handshake.Prologue(c, [8]byte(offer)),
		PSK:       c.PSK.RevealSecretBytes(),
	}
	if !theirs.Key.IsZero() {
		raw := fixedRaw(0x77)
		theirs.Key, err = keys.NewPrivateKey(raw)
		require.NoError(t, err)
		config.SecretKey, config.PublicKey = raw, theirs.Key.Public().Bytes()
		if role == handshake.Initiator && v.pattern != handshake.XX {
			ours.PeerStatic = theirs.Key.Public()
			us, err = handshake.New(ours)
			require.NoError(t, err)
			probe, err = handshake.New(ours)
			require.NoError(t, err)
			first, err = probe.WriteMessage(nil, nil)
			require.NoError(t, err)
			config.Prologue = handshake.Prologue(c, [8]byte(first))
		}
	}
	if !c.PeerStatic.IsZero() && role == handshake.Responder {
		config.RemoteStatic = ours.Key.Public().Bytes()
	}

	// What Node sends has the limits of docs/HANDSHAKE.md where it is protected.
	limits := hexBytes{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6}
	for i := range v.messages() {
		if (i%2 == 0) != config.Initiator {
			continue
		}
		payload := hexBytes{}
		if v.pattern != handshake.XX || i > 0 {
			payload = append(bytes.Clone(limits), "from node"...)
		}
		config.Payloads = append(config.Payloads, payload)
	}
	node := startNode(t, config)
	for i := range v.messages() {
		protected := v.pattern != handshake.XX || i > 0
		if us.Writes() {
			var payload []byte
			if protected {
				payload = []byte("from us")
			}
			m, err := us.WriteMessage(nil, payload)
			require.NoError(t, err)
			if i == 0 {
				m = m[len(offer):]
			}
			node.write(m)
			continue
		}
		m := node.read()
		if i == 0 {
			m = append(bytes.Clone(offer), m...)
		}
		payload, err := us.ReadMessage(m)
		require.NoError(t, err)
		if protected {
			require.Equal(t, "from node", string(payload))
		}
	}
	their := node.result()
	our, err := us.Result()
	require.NoError(t, err)
	var send, receive [handshake.KeySize]byte
	our.TakeKeys(&send, &receive)
	require.Equal(t, hex.EncodeToString(send[:]), hex.EncodeToString(their.ReceiveKey))
	require.Equal(t, hex.EncodeToString(receive[:]), hex.EncodeToString(their.SendKey))
	require.Equal(t, handshake.Limits{MaxRecord: 5, MaxMessage: 6}, our.PeerLimits())
	hash := our.Hash()
	if library == "noise-handshake" { // the other does not tell
		require.Equal(t, hash[:], []byte(their.Hash))
	}
	require.True(t, seen.IsZero() == theirs.Key.IsZero())
	if !seen.IsZero() {
		require.True(t, seen.Equal(theirs.Key.Public()))
	}
	for i, p := range their.Payloads {
		if v.pattern != handshake.XX || role == handshake.Responder || i > 0 {
			require.Equal(t, "from us", string(p[12:]))
		}
	}
}

// fixedRaw is a raw private key of one repeated byte.
func fixedRaw(b byte) []byte { return bytes.Repeat([]byte{b}, keys.PrivateKeySize) }
