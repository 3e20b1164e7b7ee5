package secure_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// The types of records, written out once more.
var types = []struct {
	name string
	t    byte
	body []byte
}{
	{"data", 0, []byte("secret")},
	{"close", 1, nil},
	{"rekey", 2, nil},
	{"handshake", 3, []byte("message")},
	{"switch", 4, nil},
	{"ready", 5, nil},
}

// deliver sends to to the records that the man in the middle made of those that from
// sealed, and requires that to refuses the first one and everything after it.
func deliver(t *testing.T, from, to side, records ...[]byte) {
	t.Helper()
	for _, r := range records {
		require.NoError(t, from.tap.Link.WriteFrame(hung(t), nil, r))
	}
	to.fails(secure.ErrRecord, transport.ErrProtocol)
}

// TestTamperedRecordIsRefused: every byte of a record of every type, every length
// of it, and every other type for it.
func TestTamperedRecordIsRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range types {
		t.Run(typ.name, func(t *testing.T) {
			var changed []func(rec []byte) []byte
			for i := range 20 + len(typ.body) {
				changed = append(changed,
					func(rec []byte) []byte { rec[i] ^= 1 << (i % 8); return rec },
					func(rec []byte) []byte { return rec[:i] })
			}
			changed = append(changed,
				func(rec []byte) []byte { return append(rec, 0) },
				func(rec []byte) []byte { return append(rec, rec...) })
			for other := range byte(7) {
				if other != typ.t {
					changed = append(changed, func(rec []byte) []byte { rec[0] = other; return rec })
				}
			}
			for i, change := range changed {
				from, to := tapped(t)
				if i%2 == 0 {
					from, to = to, from // both directions
				}
				rec := from.tap.keep(func() { from.send(typ.t, typ.body) })[0]
				require.Len(t, rec, 20+len(typ.body))
				genuine := bytes.Clone(rec)
				deliver(t, from, to, change(rec), genuine)
				require.NoError(t, from.Close())
				require.NoError(t, to.Close())
			}
		})
	}
}

// TestRecordOutOfPlaceIsRefused: authentic records, but in another order, twice,
// not at all, of the other direction or of another connection.
func TestRecordOutOfPlaceIsRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range types {
		for _, hostSends := range []bool{false, true} {
			for name, attack := range map[string]func(x, next, earlier, back, foreign []byte) [][]byte{
				"left out":                func(x, next, earlier, back, foreign []byte) [][]byte { return [][]byte{next, x} },
				"repeated from before":    func(x, next, earlier, back, foreign []byte) [][]byte { return [][]byte{earlier, x} },
				"sent back to its sender": func(x, next, earlier, back, foreign []byte) [][]byte { return [][]byte{back, x} },
				"from another connection": func(x, next, earlier, back, foreign []byte) [][]byte { return [][]byte{foreign, x} },
				"head here, tail there": func(x, next, earlier, back, foreign []byte) [][]byte {
					return [][]byte{append(x[:4:4], foreign[4:]...), x}
				},
				"half of this, half the next": func(x, next, earlier, back, foreign []byte) [][]byte {
					return [][]byte{append(x[:10:10], next[10:]...), x}
				},
				"as if one had been left out":  func(x, next, earlier, back, foreign []byte) [][]byte { next[2]++; return [][]byte{next, x} },
				"as if none had been left out": func(x, next, earlier, back, foreign []byte) [][]byte { x[2], x[3] = 255, 255; return [][]byte{x} },
			} {
				t.Run(fmt.Sprintf("%s/%s/host=%v", typ.name, name, hostSends), func(t *testing.T) {
					from, to := tapped(t)
					other, _ := tapped(t)
					if hostSends {
						from, to = to, from
						_, other = tapped(t)
					}
					one := func(s side) []byte { return s.tap.keep(func() { s.send(typ.t, typ.body) })[0] }
					from.write("first")
					to.read("first")
					all := from.tap.records()
					earlier := all[len(all)-1]
					other.tap.keep(func() { other.write("first") }) // the same number
					back := to.tap.keep(func() { to.write("first") })
					x, next := one(from), from.tap.keep(func() { from.write("next") })[0]
					if name == "sent back to its sender" {
						// from's own record of the same number returns to it
						require.NoError(t, to.tap.Link.WriteFrame(hung(t), nil, x))
						from.fails(secure.ErrRecord)
						return
					}
					deliver(t, from, to, attack(x, next, earlier, back[0], one(other))...)
				})
			}
		}
	}
}

// TestReplayIsRefused: once a record has been opened it does not open again.
func TestReplayIsRefused(t *testing.T) {
	from, to := tapped(t)
	rec := from.tap.keep(func() { from.write("once") })[0]
	require.NoError(t, from.tap.Link.WriteFrame(hung(t), nil, rec))
	to.read("once")
	deliver(t, from, to, rec)
}

// TestTruncationIsNoEnd: a connection that a man in the middle ends is an error, also
// if the end is graceful for the carrier.
func TestTruncationIsNoEnd(t *testing.T) {
	for _, hostSends := range []bool{false, true} {
		from, to := tapped(t)
		if hostSends {
			from, to = to, from
		}
		from.write("first")
		to.read("first")
		from.tap.keep(func() { // what was sent next never arrives
			from.write("second")
			require.NoError(t, from.Link.CloseWrite(t.Context()))
		})
		to.fails(secure.ErrTruncated, transport.ErrProtocol)
		_, err := to.ReadFrame(t.Context())
		require.NotErrorIs(t, err, io.EOF)
	}
	// With the sealed goodbye it is the end.
	from, to := tapped(t)
	require.NoError(t, from.Link.CloseWrite(t.Context()))
	to.fails(io.EOF)
}

// TestNothingAfterClose: a record after the goodbye is not read.
func TestNothingAfterClose(t *testing.T) {
	from, to := tapped(t)
	from.send(1, nil)
	from.send(0, []byte("late"))
	to.fails(io.EOF)
}

// TestNoncesNeverRepeat: equal plaintexts under equal keys and nonces would give
// equal ciphertexts. So all ciphertexts of one plaintext must differ, across
// rekeys, rehandshakes, and sends that were given up.
func TestNoncesNeverRepeat(t *testing.T) {
	t.Parallel()
	client, host := tapped(t)
	body := bytes.Repeat([]byte("x"), 40)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for round := range 4 {
		given := 0
		for _, s := range []side{client, host} {
			other := map[side]side{client: host, host: client}[s]
			sent := 0
			for { // until there is no room, and then some
				if err := s.WriteFrame(over, nil, body); err == nil {
					sent++
				} else if given++; given > 100*(round+1) {
					break
				}
			}
			s.RekeyDue()
			for range sent {
				other.read(string(body))
			}
			s.write(string(body))
			other.read(string(body))
			given = 0
		}
		rehandshake(t, client, host)
	}
	for _, s := range []side{client, host} {
		distinct := make(map[string]bool)
		n := 0
		for _, rec := range s.tap.records() {
			if len(rec) == 20+len(body) && rec[0] == 0 {
				n++
				distinct[string(rec[4:4+len(body)])] = true
			}
		}
		assert.Greater(t, n, 2000)
		assert.Len(t, distinct, n)
	}
}

// TestGivingUpSendsIsNoEnd: more sends in a row that end with their context than a
// record can say were left out.
func TestGivingUpSendsIsNoEnd(t *testing.T) {
	t.Parallel()
	a, b := mem.Pair()
	c, h := pairOver(t, a, b)
	defer c.Close()
	defer h.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	sent := 0
	for c.WriteFrame(over, nil, []byte("x")) == nil {
		sent++
	}
	for range 70_000 {
		require.ErrorIs(t, c.WriteFrame(over, nil, []byte("x")), context.Canceled)
	}
	for range sent {
		_, err := h.ReadFrame(hung(t))
		require.NoError(t, err)
	}
	require.NoError(t, c.WriteFrame(hung(t), nil, []byte("last")))
	got, err := h.ReadFrame(hung(t))
	require.NoError(t, err)
	require.Equal(t, "last", string(got))
}

// FuzzSealedLink gives a sealed link arbitrary frames: nothing comes out but
// errors, and never a panic.
func FuzzSealedLink(f *testing.F) {
	f.Add([]byte{}, []byte("x"))
	f.Add(make([]byte, 20), make([]byte, 64))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		from, to := tapped(t)
		if len(first) > mem.MaxFrame || len(second) > mem.MaxFrame {
			return
		}
		deliver(t, from, to, first, second)
	})
}
