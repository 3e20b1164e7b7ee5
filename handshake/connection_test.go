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
	"github.com/sealport/sealport/keys"
)

// The vectors of whole secure connections (docs/PROTOCOL.md, "Vectors") are made
// here because only the tests of this package can fix what is random in a
// handshake. Records and messages are written by docs/PROTOCOL.md alone, so that
// the vectors check the packages that implement them.

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
	Handshake   []hexBytes `json:"handshake"`
	Rehandshake secrets    `json:"rehandshake"`
	Steps       []*step    `json:"steps"`
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

// recordType is docs/PROTOCOL.md, "Records", as are the names in the vectors.
type recordType byte

const (
	data recordType = iota
	closing
	rekey
	handshaking
	switching
	ready
)

func (t recordType) String() string {
	return [...]string{"data", "close", "rekey", "handshake", "switch", "ready"}[t]
}

// connectionVectors is where the tests of package secure find them.
var connectionVectors = filepath.Join("..", "secure", "testdata", "vectors.json")

// TestConnectionVectors compares whole connections with the file.
func TestConnectionVectors(t *testing.T) {
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
		require.NoError(t, os.WriteFile(connectionVectors, made, 0o644))
	}
	want, err := os.ReadFile(connectionVectors)
	require.NoError(t, err)
	require.Equal(t, string(want), string(made))
}

// direction is one side's records.
type direction struct {
	name   string
	key    []byte
	number uint64 // of the next record with this key
	skip   uint16 // records sealed and not sent since the last that was sent
}

// seal is docs/PROTOCOL.md, "Records".
func (d *direction) seal(t *testing.T, typ recordType, plain []byte) []byte {
	aead, err := chacha20poly1305.New(d.key)
	require.NoError(t, err)
	header := binary.LittleEndian.AppendUint16([]byte{byte(typ), 0}, d.skip)
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), d.number)
	ad := binary.LittleEndian.AppendUint32(bytes.Clone(header), uint32(len(plain)))
	return aead.Seal(header, nonce, plain, ad)
}

// rekey is docs/PROTOCOL.md, "Rekey".
func (d *direction) rekey(t *testing.T) {
	aead, err := chacha20poly1305.New(d.key)
	require.NoError(t, err)
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), math.MaxUint64)
	d.replace(aead.Seal(nil, nonce, make([]byte, 32), nil)[:32])
}

// replace gives the direction another key.
func (d *direction) replace(key []byte) { d.key, d.number = key, 0 }

// player writes a connection down while it makes it.
type player struct {
	t            *testing.T
	out          *connection
	client, host *direction
}

// send has a record that is sent, with the messages that it completes.
func (p *player) send(d *direction, typ recordType, plain []byte, messages ...string) {
	s := p.step(d, typ, plain)
	d.skip = 0
	for _, m := range messages {
		s.Messages = append(s.Messages, hexBytes(m))
	}
	if typ == rekey {
		d.rekey(p.t)
	}
}

// lose has a record that is sealed and not sent.
func (p *player) lose(d *direction, plain []byte) {
	p.step(d, data, plain).NotSent = true
	d.skip++
}

func (p *player) step(d *direction, typ recordType, plain []byte) *step {
	s := &step{
		From: d.name, Type: typ.String(), Skip: d.skip, Key: d.key, Number: d.number,
		Plaintext: append(hexBytes{}, plain...), Record: d.seal(p.t, typ, plain),
	}
	d.number++
	p.out.Steps = append(p.out.Steps, s)
	return s
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
	p.client, p.host = &direction{name: "client", key: out.ClientKey}, &direction{name: "host", key: out.HostKey}
	if v.pattern == handshake.XX {
		p.send(p.host, ready, nil)
	}
	p.talk()

	c.Binding, h.Binding = out.Hash, out.Hash
	out.Rehandshake, messages, _ = v.handshake(t, c, h, 0x10)
	p.rehandshake(messages)
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
	p.send(p.client, data, whole("hello"), "hello")
	p.send(p.host, data, whole("hello, client"), "hello, client")
	p.send(p.client, data, bytes.Join([][]byte{whole(""), whole("a"), whole("bc")}, nil), "", "a", "bc")
	for _, lost := range []string{"given up", "this too"} {
		p.lose(p.client, whole(lost))
	}
	p.send(p.client, data, whole("after two that were not sent"), "after two that were not sent")
	p.send(p.client, rekey, nil)
	p.send(p.client, data, whole("with the next key"), "with the next key")
	p.send(p.client, rekey, nil)
	p.send(p.client, data, whole("and the next"), "and the next")

	const large = "a message in three pieces, sixty bytes long, as all may see."
	p.send(p.host, data, item(1, size(len(large)), large[:24]))
	p.send(p.host, data, item(2, nil, large[24:48]))
	p.send(p.host, data, item(2, nil, large[48:]), large)
	p.send(p.client, data, item(1, size(1000), "of a message that is given up"))
	p.send(p.client, data, whole("another"), "another")
}

// rehandshake has the records of a rehandshake, and others between them. The side
// that writes the last message switches first.
func (p *player) rehandshake(messages [][]byte) {
	first, second := p.host, p.client
	firstKey, secondKey := p.out.Rehandshake.HostKey, p.out.Rehandshake.ClientKey
	if len(messages) > 2 {
		first, second, firstKey, secondKey = second, first, secondKey, firstKey
	}
	p.send(p.client, handshaking, messages[0])
	if len(messages) > 2 {
		p.send(p.host, handshaking, messages[1])
	}
	p.send(second, data, whole("meanwhile"), "meanwhile")
	p.send(first, handshaking, messages[len(messages)-1])
	p.send(first, switching, nil)
	first.replace(firstKey)
	p.send(first, data, whole("new key"), "new key")
	p.send(second, switching, nil)
	second.replace(secondKey)
	p.send(second, data, whole("new key too"), "new key too")
}

// end has a close in each direction.
func (p *player) end() {
	p.send(p.host, rekey, nil)
	p.send(p.client, closing, nil)
	p.send(p.host, data, whole("one more"), "one more")
	p.send(p.host, closing, nil)
}
