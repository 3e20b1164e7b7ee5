package handshake_test

import (
	"bytes"
	"crypto/mlkem"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/record"
	"github.com/sealport/sealport/keys"
)

// The vectors of whole secure connections (docs/PROTOCOL.md, "Vectors") belong to
// package secure. They are made here because only here a handshake can be had
// without chance.

// secrets are what is random in a handshake, and what comes of it.
type secrets struct {
	InitiatorEphemeral  hexBytes `json:"initiator_ephemeral"`
	ResponderEphemeral  hexBytes `json:"responder_ephemeral"`
	DecapsulationSeed   hexBytes `json:"ml_kem_seed,omitempty"`
	EncapsulationRandom hexBytes `json:"ml_kem_message,omitempty"`
	Binding             hexBytes `json:"binding"`
	Prologue            hexBytes `json:"prologue"`
	Hash                hexBytes `json:"hash"`
	ClientKey           hexBytes `json:"client_key"`
	HostKey             hexBytes `json:"host_key"`
}

// connection is one connection from the handshake to the end.
type connection struct {
	Name              string   `json:"name"`
	Noise             string   `json:"noise"`
	Endpoint          string   `json:"endpoint"`
	InitiatorIdentity hexBytes `json:"initiator_identity"`
	ResponderIdentity hexBytes `json:"responder_identity"`
	InitiatorStatic   hexBytes `json:"initiator_static"`
	ResponderStatic   hexBytes `json:"responder_static"`
	PSK               hexBytes `json:"psk,omitempty"`
	secrets
	Handshake []hexBytes `json:"handshake"`
	Renewal   secrets    `json:"renewal"`
	Steps     []*step    `json:"steps"`
}

// step is one record.
type step struct {
	From      string     `json:"from"`
	Type      string     `json:"type"`
	Skip      uint16     `json:"skip"`
	Key       hexBytes   `json:"key"`
	Number    uint64     `json:"number"`
	Plaintext hexBytes   `json:"plaintext"`
	Record    hexBytes   `json:"record"`
	NotSent   bool       `json:"not_sent,omitempty"`
	Messages  []hexBytes `json:"messages,omitempty"`
}

var typeNames = map[record.Type]string{
	record.Data: "data", record.Close: "close", record.Rekey: "rekey", record.Handshake: "handshake", record.Switch: "switch",
	record.Ready: "ready",
}

// TestConnectionVectors compares whole connections with the file of package
// secure.
func TestConnectionVectors(t *testing.T) {
	path := filepath.Join("..", "secure", "testdata", "vectors.json")
	var got []*connection
	for _, v := range []variant{
		{"XX_classical", handshake.XX, true, false},
		{"XX_hybrid", handshake.XX, false, false},
		{"IK_hybrid_psk", handshake.IK, false, true},
	} {
		got = append(got, v.connection(t))
	}
	made, err := json.MarshalIndent(got, "", "\t")
	require.NoError(t, err)
	made = append(made, '\n')
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, made, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(made))
}

// direction is one side's records.
type direction struct {
	name   string
	seal   *record.Sealer
	open   *record.Opener // the other side's
	key    [record.KeySize]byte
	number uint64
	to     link.Link // carries what was opened to messages
	read   *message.Conn
}

// player writes a connection down while it makes it.
type player struct {
	t            *testing.T
	out          *connection
	client, host *direction
}

func (p *player) direction(name string, key []byte) *direction {
	d := &direction{name: name}
	var far link.Link
	d.to, far = mem.Pair()
	d.read = message.NewConn(far, message.Config{MaxSend: 1 << 20, MaxReceive: 1 << 20})
	p.t.Cleanup(func() {
		require.NoError(p.t, d.read.Close())
		require.NoError(p.t, d.to.Close())
	})
	copy(d.key[:], key)
	d.seal, d.open = record.NewSealer(&d.key), record.NewOpener(&d.key)
	return d
}

// send seals a record, opens it twice, by this package and by the text alone, and
// has messages read what is in it.
func (p *player) send(d *direction, typ record.Type, plain []byte, messages ...string) {
	s := p.lose(d, typ, plain)
	s.NotSent = false
	d.seal.Sent()
	got, opened, err := d.open.Open(nil, s.Record)
	require.NoError(p.t, err)
	require.Equal(p.t, typ, got)
	require.True(p.t, bytes.Equal(plain, opened))
	if typ == record.Data {
		require.NoError(p.t, d.to.WriteFrame(p.t.Context(), nil, opened))
	}
	for _, want := range messages {
		m, err := d.read.Receive(p.t.Context())
		require.NoError(p.t, err)
		require.Equal(p.t, want, string(m))
		s.Messages = append(s.Messages, hexBytes(want))
	}
	if typ == record.Rekey {
		d.seal.Rekey()
		d.key, d.number = rekeyed(p.t, d.key), 0
	}
}

// lose seals a record, which is not sent.
func (p *player) lose(d *direction, typ record.Type, plain []byte) *step {
	s := &step{From: d.name, Type: typeNames[typ], Key: bytes.Clone(d.key[:]), Number: d.number, Plaintext: plain, NotSent: true}
	if plain == nil {
		s.Plaintext = hexBytes{}
	}
	rec, err := d.seal.Seal(nil, typ, nil, plain)
	require.NoError(p.t, err)
	d.number++
	s.Record, s.Skip = rec, binary.LittleEndian.Uint16(rec[2:])
	require.True(p.t, bytes.Equal(plain, openByTheText(p.t, s)))
	p.out.Steps = append(p.out.Steps, s)
	return s
}

// openByTheText is docs/PROTOCOL.md, "Records".
func openByTheText(t *testing.T, s *step) []byte {
	aead, err := chacha20poly1305.New(s.Key)
	require.NoError(t, err)
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), s.Number)
	ad := binary.LittleEndian.AppendUint32(bytes.Clone(s.Record[:4]), uint32(len(s.Record)-20))
	plain, err := aead.Open(nil, nonce, s.Record[4:], ad)
	require.NoError(t, err)
	return plain
}

// rekeyed is docs/PROTOCOL.md, "Rekey".
func rekeyed(t *testing.T, key [32]byte) (next [32]byte) {
	aead, err := chacha20poly1305.New(key[:])
	require.NoError(t, err)
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), math.MaxUint64)
	copy(next[:], aead.Seal(nil, nonce, make([]byte, 32), nil))
	return next
}

// replace is what follows a Switch.
func (d *direction) replace(key []byte) {
	copy(d.key[:], key)
	d.number = 0
	d.seal.Replace(&d.key)
	d.open.Replace(&d.key)
}

// Items of docs/PROTOCOL.md, "Messages".

func whole(m string) []byte { return item(0, nil, m) }

func item(kind uint32, between []byte, content string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind<<30|uint32(len(content)))
	return append(append(b, between...), content...)
}

func size(n int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

// connection makes a connection of a variant from fixed inputs.
func (v variant) connection(t *testing.T) *connection {
	out := &connection{Name: v.name}
	c, h := v.configs()
	process := func(inode byte) []byte {
		boot := []byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
		return append(append([]byte("linux-pidfs/1"), boot...), 0, 0, 0, 0, 0, 0, 1, inode)
	}
	for _, side := range []*handshake.Config{&c, &h} {
		side.Limits, side.Binding = handshake.Limits{}, nil
		side.InitiatorIdentity, side.ResponderIdentity = process(0xc1), process(0xc2)
	}
	c.Key, h.Key = fixedKey(t, 0xa1), fixedKey(t, 0xa2)
	if v.pattern != handshake.XX {
		c.PeerStatic = h.Key.Public()
	}
	if v.psk {
		out.PSK = bytes.Repeat([]byte{0xb1}, keys.PresharedKeySize)
		psk, err := keys.NewPreshared(out.PSK)
		require.NoError(t, err)
		c.PSK, h.PSK = psk, psk
	}
	out.Endpoint = c.Endpoint
	out.InitiatorIdentity, out.ResponderIdentity = c.InitiatorIdentity, c.ResponderIdentity
	out.InitiatorStatic, out.ResponderStatic = bytes.Repeat([]byte{0xa1}, 32), bytes.Repeat([]byte{0xa2}, 32)

	var messages [][]byte
	out.secrets, messages, out.Noise = v.handshake(t, c, h, 0)
	for _, m := range messages {
		out.Handshake = append(out.Handshake, m)
	}
	p := &player{t: t, out: out}
	p.client, p.host = p.direction("client", out.ClientKey), p.direction("host", out.HostKey)
	if v.pattern == handshake.XX {
		p.send(p.host, record.Ready, nil)
	}
	p.talk()

	c.Binding, h.Binding = out.Hash, out.Hash
	out.Renewal, messages, _ = v.handshake(t, c, h, 0x10)
	p.renew(messages)
	p.end()
	return out
}

// handshake does one, whose random bytes differ by other.
func (v variant) handshake(t *testing.T, c, h handshake.Config, other byte) (s secrets, messages [][]byte, noise string) {
	s = secrets{
		InitiatorEphemeral: bytes.Repeat([]byte{0xe1 ^ other}, 32),
		ResponderEphemeral: bytes.Repeat([]byte{0xe2 ^ other}, 32),
		Binding:            c.Binding,
	}
	if !v.classical {
		s.DecapsulationSeed = bytes.Repeat([]byte{0xd1 ^ other}, mlkem.SeedSize)
		s.EncapsulationRandom = bytes.Repeat([]byte{0xc2 ^ other}, 32)
	}
	client, host := pair(t, c, h)
	client.Fix(fixedKey(t, 0xe1^other), bytes.Repeat([]byte{0xd1 ^ other}, mlkem.SeedSize), nil)
	host.Fix(fixedKey(t, 0xe2^other), nil, encapsulateFixed(t, 0xc2^other))
	o := run(client, host, nil)
	require.NoError(t, o.clientErr)
	require.NoError(t, o.hostErr)
	result, err := client.Result()
	require.NoError(t, err)
	hash := result.Hash()
	var k1, k2 [handshake.KeySize]byte
	result.TakeKeys(&k1, &k2)
	s.Prologue = handshake.Prologue(c, [8]byte(o.transcript[0]))
	s.Hash, s.ClientKey, s.HostKey = hash[:], k1[:], k2[:]
	return s, o.transcript, result.Offer().String()
}

// talk has messages of each kind, numbers left out, and a rekey.
func (p *player) talk() {
	p.send(p.client, record.Data, whole("hello"), "hello")
	p.send(p.host, record.Data, whole("hello, client"), "hello, client")
	p.send(p.client, record.Data, bytes.Join([][]byte{whole(""), whole("a"), whole("bc")}, nil), "", "a", "bc")
	for _, lost := range []string{"given up", "this too"} {
		p.lose(p.client, record.Data, whole(lost))
		p.client.seal.Abandoned()
	}
	p.send(p.client, record.Data, whole("after two that were not sent"), "after two that were not sent")
	p.send(p.client, record.Rekey, nil)
	p.send(p.client, record.Data, whole("with the next key"), "with the next key")
	p.send(p.client, record.Rekey, nil)
	p.send(p.client, record.Data, whole("and the next"), "and the next")

	const large = "a message in three pieces, sixty bytes long, as all may see."
	p.send(p.host, record.Data, item(1, size(len(large)), large[:24]))
	p.send(p.host, record.Data, item(2, nil, large[24:48]))
	p.send(p.host, record.Data, item(2, nil, large[48:]), large)
	p.send(p.client, record.Data, item(1, size(1000), "of a message that is given up"))
	p.send(p.client, record.Data, whole("another"), "another")
}

// renew has the records of a renewal, and others between them. Who writes the
// last message switches first.
func (p *player) renew(messages [][]byte) {
	first, second := p.host, p.client
	firstKey, secondKey := p.out.Renewal.HostKey, p.out.Renewal.ClientKey
	if len(messages) > 2 {
		first, second, firstKey, secondKey = second, first, secondKey, firstKey
	}
	p.send(p.client, record.Handshake, messages[0])
	if len(messages) > 2 {
		p.send(p.host, record.Handshake, messages[1])
	}
	p.send(second, record.Data, whole("meanwhile"), "meanwhile")
	p.send(first, record.Handshake, messages[len(messages)-1])
	p.send(first, record.Switch, nil)
	first.replace(firstKey)
	p.send(first, record.Data, whole("new key"), "new key")
	p.send(second, record.Switch, nil)
	second.replace(secondKey)
	p.send(second, record.Data, whole("new key too"), "new key too")
}

// end has a close in each direction.
func (p *player) end() {
	p.send(p.host, record.Rekey, nil)
	p.send(p.client, record.Close, nil)
	p.send(p.host, record.Data, whole("one more"), "one more")
	p.send(p.host, record.Close, nil)
}
