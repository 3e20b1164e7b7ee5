package record_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealport/sealport/secure/internal/record"
)

var key = [record.KeySize]byte{1, 2, 3}

func pair() (*record.Sealer, *record.Opener) {
	return record.NewSealer(&key), record.NewOpener(&key)
}

// seal seals and says that the record was sent.
func seal(t testing.TB, s *record.Sealer, typ record.Type, plain []byte) []byte {
	t.Helper()
	cut := min(len(plain), 3)
	rec, err := s.Seal(nil, typ, plain[:cut], plain[cut:])
	require.NoError(t, err)
	s.Sent()
	return rec
}

func TestRoundTrip(t *testing.T) {
	s, o := pair()
	for _, n := range []int{1, 2, 3, 4, 63, 64, 65, 16 << 10, 64 << 10} {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		rec := seal(t, s, record.Data, plain)
		assert.Len(t, rec, n+record.Overhead)
		typ, got, err := o.Open(nil, rec)
		require.NoError(t, err)
		assert.Equal(t, record.Data, typ)
		assert.True(t, bytes.Equal(plain, got))
	}
}

func TestOpenRefusesEveryFlip(t *testing.T) {
	for typ := range record.Type(6) {
		plain := []byte("secret")
		if typ != record.Data && typ != record.Handshake {
			plain = nil
		}
		s, _ := pair()
		rec := seal(t, s, typ, plain)
		for i := range rec {
			for bit := range 8 {
				o := record.NewOpener(&key)
				bad := bytes.Clone(rec)
				bad[i] ^= 1 << bit
				_, _, err := o.Open(nil, bad)
				require.ErrorIs(t, err, record.ErrOpen, "type %d byte %d bit %d", typ, i, bit)
				// Sticky: not even the right record opens now.
				_, _, err = o.Open(nil, bytes.Clone(rec))
				require.ErrorIs(t, err, record.ErrOpen)
			}
		}
		for n := range rec {
			_, _, err := record.NewOpener(&key).Open(nil, bytes.Clone(rec[:n]))
			require.ErrorIs(t, err, record.ErrOpen, "cut to %d", n)
		}
		_, _, err := record.NewOpener(&key).Open(nil, append(bytes.Clone(rec), 0))
		require.ErrorIs(t, err, record.ErrOpen, "one byte more")
	}
}

func TestOpenRefusesOtherOrder(t *testing.T) {
	s, _ := pair()
	var recs [][]byte
	for i := range byte(4) {
		recs = append(recs, seal(t, s, record.Data, []byte{i}))
	}
	other := record.NewSealer(&[record.KeySize]byte{9})
	for name, order := range map[string][][]byte{
		"replayed":           {recs[0], recs[0]},
		"replayed later":     {recs[0], recs[1], recs[0]},
		"left out":           {recs[0], recs[2]},
		"first left out":     {recs[1]},
		"swapped":            {recs[1], recs[0]},
		"of another session": {recs[0], seal(t, other, record.Data, []byte{1})},
		"spliced from two":   {recs[0], append(bytes.Clone(recs[1][:8]), recs[2][8:]...)},
		"two in one":         {append(bytes.Clone(recs[0]), recs[1]...)},
		"nothing":            {nil},
	} {
		o := record.NewOpener(&key)
		var err error
		for _, rec := range order {
			if _, _, err = o.Open(nil, bytes.Clone(rec)); err != nil {
				break
			}
		}
		assert.ErrorIs(t, err, record.ErrOpen, name)
	}
}

func TestAbandonedRecordsUseTheirNonces(t *testing.T) {
	s, o := pair()
	first := seal(t, s, record.Data, []byte("first"))
	for range 3 {
		_, err := s.Seal(nil, record.Data, nil, []byte("never sent"))
		require.NoError(t, err)
		s.Abandoned()
	}
	last := seal(t, s, record.Data, []byte("last"))
	for _, rec := range [][]byte{first, last} {
		_, _, err := o.Open(nil, rec)
		require.NoError(t, err)
	}
	assert.Equal(t, s.Counter(), o.Counter())
	assert.Equal(t, uint64(5), s.Counter())

	for i := range record.DueSkip {
		require.False(t, s.Due(), i)
		_, err := s.Seal(nil, record.Data, nil, nil)
		require.NoError(t, err)
		s.Abandoned()
	}
	require.True(t, s.Due())
	s.Sent() // so that the rest begins anew
	require.False(t, s.Due())

	for range math.MaxUint16 {
		_, err := s.Seal(nil, record.Data, nil, nil)
		require.NoError(t, err)
		s.Abandoned()
	}
	for range 2 {
		_, err := s.Seal(nil, record.Data, nil, nil)
		require.ErrorIs(t, err, record.ErrExhausted)
		s.Sent() // nothing was, and the error is final
	}
}

// TestDue: a Rekey is due when so many records or bytes were sealed with the key, sent or
// not, and not before.
func TestDue(t *testing.T) {
	for name, row := range map[string]struct {
		records, bytes uint64
		more           int // records of 2 bytes
	}{
		"new":               {0, 0, 0},
		"records":           {record.RekeyRecords - 3, 0, 3},
		"bytes":             {0, record.RekeyBytes - 6, 3},
		"bytes, not a byte": {0, record.RekeyBytes - 5, 3},
	} {
		s, _ := pair()
		s.SetUsed(row.records, row.bytes)
		for range row.more {
			require.False(t, s.Due(), name)
			_, err := s.Seal(nil, record.Data, []byte{1}, []byte{2})
			require.NoError(t, err)
			s.Abandoned()
		}
		require.Equal(t, row.more > 0, s.Due(), name)
	}
}

func TestRekey(t *testing.T) {
	s, o := pair()
	before := seal(t, s, record.Data, []byte("same"))
	require.False(t, s.Due())
	s.SetUsed(record.RekeyRecords, 0)
	require.True(t, s.Due())
	s.SetUsed(0, record.RekeyBytes)
	require.True(t, s.Due())

	rekey := seal(t, s, record.Rekey, nil)
	s.Rekey()
	require.False(t, s.Due())
	require.False(t, s.Used(), "nothing was sent with the new key")
	require.Zero(t, s.Counter(), "a new key counts from 0")
	after := seal(t, s, record.Data, []byte("same"))
	assert.NotEqual(t, before, after, "same counter, so the key must differ")

	for _, rec := range [][]byte{before, rekey, after} {
		_, _, err := o.Open(nil, bytes.Clone(rec))
		require.NoError(t, err)
	}
	// The next key is the one of Noise §4.2, and no other.
	s, o = pair()
	rekey = seal(t, s, record.Rekey, nil)
	s.Rekey()
	_, _, err := o.Open(nil, rekey)
	require.NoError(t, err)
	aead, err := chacha20poly1305.New(key[:])
	require.NoError(t, err)
	last := append(make([]byte, 4), bytes.Repeat([]byte{0xff}, 8)...)
	next := aead.Seal(nil, last, make([]byte, 32), nil)[:32]
	want := sealedByHand(t, next, [4]byte{})
	require.Equal(t, want, seal(t, s, record.Data, []byte("x")))
	_, plain, err := o.Open(nil, want)
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))

	// Without the Rekey record the new key's records do not open.
	o = record.NewOpener(&key)
	_, _, err = o.Open(nil, before)
	require.NoError(t, err)
	_, _, err = o.Open(nil, after)
	require.ErrorIs(t, err, record.ErrOpen)
}

// sealedByHand is a record with the given header, number 0 and plaintext x, sealed as
// docs/PROTOCOL.md says.
func sealedByHand(t *testing.T, k []byte, header [4]byte) []byte {
	t.Helper()
	aead, err := chacha20poly1305.New(k)
	require.NoError(t, err)
	return append(header[:], aead.Seal(nil, make([]byte, 12), []byte("x"), append(header[:], 1, 0, 0, 0))...)
}

// TestSecondByteIsZero: whatever it is, it is authenticated, so only the peer can have
// set it.
func TestSecondByteIsZero(t *testing.T) {
	for second := range 256 {
		_, o := pair()
		_, plain, err := o.Open(nil, sealedByHand(t, key[:], [4]byte{0, byte(second), 0, 0}))
		if second == 0 {
			require.NoError(t, err)
			require.Equal(t, "x", string(plain))
			continue
		}
		require.ErrorIs(t, err, record.ErrMalformed, second)
	}
}

// TestRekeysInARow: a key that nothing was sealed with needs no successor, so a peer
// that only changes keys is stopped.
func TestRekeysInARow(t *testing.T) {
	const most = 16
	rekey := func(s *record.Sealer, o *record.Opener) error {
		rec := seal(t, s, record.Rekey, nil)
		s.Rekey()
		_, _, err := o.Open(nil, rec)
		return err
	}
	s, o := pair()
	for range 3 {
		for range most {
			require.NoError(t, rekey(s, o))
		}
		_, _, err := o.Open(nil, seal(t, s, record.Data, []byte("in between")))
		require.NoError(t, err)
	}
	for range most {
		require.NoError(t, rekey(s, o))
	}
	require.ErrorIs(t, rekey(s, o), record.ErrMalformed)
}

func TestReplace(t *testing.T) {
	s, o := pair()
	next := [record.KeySize]byte{7}
	require.False(t, s.Used())
	sw := seal(t, s, record.Switch, nil)
	require.True(t, s.Used())
	s.Replace(&next)
	require.False(t, s.Used())
	rec := seal(t, s, record.Data, []byte("new"))
	typ, _, err := o.Open(nil, sw)
	require.NoError(t, err)
	require.Equal(t, record.Switch, typ)
	stolen := record.NewOpener(&key)
	_, _, err = stolen.Open(nil, sw)
	require.NoError(t, err)
	_, _, err = stolen.Open(nil, rec)
	require.ErrorIs(t, err, record.ErrOpen, "the old key opens nothing that comes after it")
	o.Replace(&next)
	_, got, err := o.Open(nil, rec)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
}

func TestCounterDoesNotWrap(t *testing.T) {
	s, o := pair()
	s.SetCounter(record.LastNonce)
	o.SetCounter(record.LastNonce)
	rec := seal(t, s, record.Data, []byte("last"))
	_, _, err := o.Open(nil, rec)
	require.NoError(t, err)
	for range 2 {
		_, err = s.Seal(nil, record.Data, nil, nil)
		require.ErrorIs(t, err, record.ErrExhausted)
		_, _, err = o.Open(nil, bytes.Clone(rec))
		require.ErrorIs(t, err, record.ErrExhausted)
	}
	// Nor does a skip carry it over.
	o = record.NewOpener(&key)
	o.SetCounter(record.LastNonce)
	bad := bytes.Clone(rec)
	bad[2] = 5
	_, _, err = o.Open(nil, bad)
	require.ErrorIs(t, err, record.ErrExhausted)
}

func TestOpenRefusesMalformed(t *testing.T) {
	for name, make := range map[string]func(s *record.Sealer) ([]byte, error){
		"unknown type":     func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, 6, nil, nil) },
		"close with data":  func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Close, nil, []byte{1}) },
		"rekey with data":  func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Rekey, nil, []byte{1}) },
		"switch with data": func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Switch, nil, []byte{1}) },
		"empty handshake":  func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Handshake, nil, nil) },
		"empty data":       func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Data, nil, nil) },
		"ready with data":  func(s *record.Sealer) ([]byte, error) { return s.Seal(nil, record.Ready, nil, []byte{1}) },
		"ready with a skip": func(s *record.Sealer) ([]byte, error) {
			_, err := s.Seal(nil, record.Ready, nil, nil)
			require.NoError(t, err)
			s.Abandoned()
			return s.Seal(nil, record.Ready, nil, nil)
		},
		"ready as the second": func(s *record.Sealer) ([]byte, error) {
			s.SetCounter(1)
			return s.Seal(nil, record.Ready, nil, nil)
		},
	} {
		s, o := pair()
		rec, err := make(s)
		require.NoError(t, err)
		if name == "ready as the second" {
			o.SetCounter(1)
		}
		_, _, err = o.Open(nil, rec)
		assert.ErrorIs(t, err, record.ErrMalformed, name)
	}
	for _, used := range [][2]uint64{{2*record.RekeyRecords - 1, 0}, {0, 2*record.RekeyBytes - 1}} {
		s, o := pair()
		o.SetUsed(used[0], used[1])
		_, _, err := o.Open(nil, seal(t, s, record.Data, []byte{1}))
		require.NoError(t, err, "the last one")
		_, _, err = o.Open(nil, seal(t, s, record.Data, []byte{1}))
		assert.ErrorIs(t, err, record.ErrMalformed, "a peer that never rekeys")
	}
}

func TestNoAllocations(t *testing.T) {
	s, o := pair()
	plain, head := make([]byte, 64), []byte("head")
	buf, into := make([]byte, 0, 256), make([]byte, 0, 256)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		rec, err := s.Seal(buf, record.Data, head, plain)
		if err != nil {
			t.Fatal(err)
		}
		s.Sent()
		if _, _, err := o.Open(into, rec); err != nil {
			t.Fatal(err)
		}
	}))
}

// FuzzOpen gives arbitrary bytes to an Opener, behind a number of good records:
// nothing may open that was not sealed.
func FuzzOpen(f *testing.F) {
	s, _ := pair()
	rec, err := s.Seal(nil, record.Data, nil, []byte("seed"))
	require.NoError(f, err)
	f.Add(rec, uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0}, record.Overhead), uint8(2))
	f.Fuzz(func(t *testing.T, frame []byte, good uint8) {
		s, o := pair()
		r := rand.New(rand.NewPCG(1, uint64(good)))
		for range good % 8 {
			plain := make([]byte, 1+r.IntN(100))
			_, got, err := o.Open(nil, seal(t, s, record.Data, plain))
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got))
		}
		next, err := s.Seal(nil, record.Data, nil, []byte("seed"))
		require.NoError(t, err)
		authentic := bytes.Equal(next, frame)
		_, _, err = o.Open(nil, frame)
		require.Equal(t, authentic, err == nil)
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{64, 1 << 10, 16 << 10, 64 << 10} {
		b.Run(size(n), func(b *testing.B) {
			s, _ := pair()
			plain, buf := make([]byte, n), make([]byte, 0, n+record.Overhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(buf, record.Data, nil, plain); err != nil {
					b.Fatal(err)
				}
				s.Sent()
			}
		})
	}
}

func size(n int) string {
	if n < 1<<10 {
		return "64B"
	}
	return strconv.Itoa(n>>10) + "KiB"
}
