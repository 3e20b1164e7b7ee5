package secure_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/secure/internal/record"
	"github.com/sealport/sealport/transport"
)

// ready is the type of the record, written out once more.
const ready = 5

func classical(c *secure.Config) { c.Classical = true }

// hostByHand does the host's part of a classical handshake over l, up to where the
// host says that it accepts, and returns what seals its records.
func hostByHand(t *testing.T, l link.Link) *record.Sealer {
	t.Helper()
	st, err := handshake.New(handshake.Config{
		Role: handshake.Responder, Pattern: handshake.XX, Classical: true, Key: hostKey, Endpoint: endpoint,
		InitiatorIdentity: []byte("client"), ResponderIdentity: []byte("host"),
		VerifyPeer: func(keys.PublicKey, []byte) error { return nil },
	})
	require.NoError(t, err)
	defer st.Close()
	for !st.Done() {
		msg, err := l.ReadFrame(t.Context())
		require.NoError(t, err)
		_, err = st.ReadMessage(msg)
		require.NoError(t, err)
		if st.Writes() {
			msg, err = st.WriteMessage(nil, nil)
			require.NoError(t, err)
			require.NoError(t, l.WriteFrame(t.Context(), nil, msg))
		}
	}
	res, err := st.Result()
	require.NoError(t, err)
	var send, receive [record.KeySize]byte
	res.TakeKeys(&send, &receive)
	return record.NewSealer(&send)
}

// clientOf has a client do its handshake with a host that the test plays.
func clientOf(ctx context.Context, l link.Link, changes ...func(*secure.Config)) <-chan error {
	done := make(chan error, 1)
	go func() {
		c, err := secure.HalfPair(ctx, l, clientConfig(nil, append(changes, classical)...), handshake.Initiator)
		if err == nil {
			_ = c.Close()
		}
		done <- err
	}()
	return done
}

// TestClientWaitsForReady: what the host sends first must be that it accepts, and
// else the client does not get its connection.
func TestClientWaitsForReady(t *testing.T) {
	sealed := func(typ record.Type, body string) func(*testing.T, link.Link, *record.Sealer) {
		return func(t *testing.T, l link.Link, s *record.Sealer) {
			rec, err := s.Seal(nil, typ, nil, []byte(body))
			require.NoError(t, err)
			require.NoError(t, l.WriteFrame(t.Context(), nil, rec))
		}
	}
	raw := func(frame string) func(*testing.T, link.Link, *record.Sealer) {
		return func(t *testing.T, l link.Link, _ *record.Sealer) {
			require.NoError(t, l.WriteFrame(t.Context(), nil, []byte(frame)))
		}
	}
	skipped := func(t *testing.T, l link.Link, s *record.Sealer) {
		_, err := s.Seal(nil, ready, nil, nil) // and not sent
		require.NoError(t, err)
		s.Abandoned()
		sealed(ready, "")(t, l, s)
	}
	gone := []error{secure.ErrHandshake, transport.ErrPeerGone}
	broken := []error{secure.ErrHandshake, secure.ErrRecord, transport.ErrProtocol}
	for name, row := range map[string]struct {
		host func(*testing.T, link.Link, *record.Sealer) // nil: it dies
		want []error
	}{
		"ready":              {sealed(ready, ""), nil},
		"data":               {sealed(0, "x"), broken},
		"close":              {sealed(1, ""), broken},
		"rekey":              {sealed(2, ""), broken},
		"handshake":          {sealed(3, "x"), broken},
		"switch":             {sealed(4, ""), broken},
		"ready, not empty":   {sealed(ready, "x"), broken},
		"ready, with a skip": {skipped, broken},
		"an unknown type":    {sealed(ready+1, ""), broken},
		"ready, not sealed":  {raw("\x05\x00\x00\x00" + "0123456789abcdef"), broken},
		"nothing in a frame": {raw(""), broken},
		"dies":               {nil, gone},
		"ends gracefully": {func(t *testing.T, l link.Link, _ *record.Sealer) {
			require.NoError(t, l.CloseWrite(t.Context()))
		}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, kill := transporttest.Rings(t, 64<<10)
			client := clientOf(hung(t), a)
			if sealer := hostByHand(t, b); row.host == nil {
				kill()
			} else {
				row.host(t, b, sealer)
			}
			err := await(t, client)
			if row.want == nil {
				require.NoError(t, err)
			}
			for _, want := range row.want {
				require.ErrorIs(t, err, want)
			}
			b.Interrupt()
			_ = b.Close() // kill has closed a part of it
		})
	}
}

// TestHostThatNeverAccepts: the client waits for as long as it gives the handshake
// and no longer, and sends nothing meanwhile, not even what timers ask for.
func TestHostThatNeverAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mem.Pair()
		ta := &tap{Link: a}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		client := clientOf(ctx, ta, func(c *secure.Config) { c.RehandshakeInterval, c.RekeyInterval = time.Second, time.Second })
		hostByHand(t, b)
		time.Sleep(4 * time.Second) // of the bubble's time
		synctest.Wait()
		assert.Len(t, ta.records(), 2, "beside messages 1 and 3")
		err := <-client
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(begun))
		b.Interrupt()
		require.NoError(t, b.Close())
	})
}

// undecided is a Trust that takes its time.
type undecided struct{ keys.Trust }

func (undecided) Verify(ctx context.Context, _ string, _ keys.PublicKey) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestUndecidedHost: a constructor does not return before the host has authorized the
// key, and not later than HandshakeTimeout.
func TestUndecidedHost(t *testing.T) {
	w := newWorld(t)
	h := w.echo(t, hostConfig(nil, func(c *secure.Config) {
		c.Trust = undecided{c.Trust}
		c.Transport.HandshakeTimeout = limit
	}))
	client := clientConfig(nil, func(c *secure.Config) { c.Transport.HandshakeTimeout = 100 * time.Millisecond })
	_, err := secure.NewSecureClient[[]byte](hung(t), w.endpoint, w.in(client))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Zero(t, h.Stats().Accepted)
}

// TestReadyIsFirst: Ready is the first record of an XX host, and of no other side.
func TestReadyIsFirst(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		t.Run(pattern.String(), func(t *testing.T) {
			a, b := mem.Pair()
			ta, tb := &tap{Link: a}, &tap{Link: b}
			client, host := configsOf(pattern)
			host.RekeyInterval = 1
			c, h, err := secure.Pair(t.Context(), ta, tb, client, host)
			require.NoError(t, err)
			defer c.Close()
			defer h.Close()
			if pattern == handshake.XX {
				require.Len(t, tb.records(), 2)
				said := tb.records()[1]
				require.Equal(t, []byte{ready, 0, 0, 0}, said[:4])
				require.Len(t, said, record.Overhead)
				require.Len(t, ta.records(), 2)
			} else {
				require.Len(t, tb.records(), 1)
				require.Len(t, ta.records(), 1)
			}
		})
	}
}

// TestReadyOutOfTurn: twice, late, from the client, or in another pattern.
func TestReadyOutOfTurn(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		for name, do := range map[string]func(t *testing.T, client, host side) (from, to side){
			"host at once":   func(t *testing.T, c, h side) (side, side) { return h, c },
			"client at once": func(t *testing.T, c, h side) (side, side) { return c, h },
			"host after data": func(t *testing.T, c, h side) (side, side) {
				h.write("x")
				c.read("x")
				return h, c
			},
			"host after a rehandshake": func(t *testing.T, c, h side) (side, side) {
				rehandshake(t, c, h)
				return h, c
			},
		} {
			t.Run(pattern.String()+"/"+name, func(t *testing.T) {
				a, b := mem.Pair()
				ta, tb := &tap{Link: a}, &tap{Link: b}
				client, host := configsOf(pattern)
				c, h, err := secure.Pair(t.Context(), ta, tb, client, host)
				require.NoError(t, err)
				defer c.Close()
				defer h.Close()
				from, to := do(t, side{c, ta, t}, side{h, tb, t})
				from.send(ready, nil)
				from.write("late")
				to.fails(secure.ErrRecord, transport.ErrProtocol)
			})
		}
	}
}

// TestReadyReplayed: nor does the host's own open again.
func TestReadyReplayed(t *testing.T) {
	client, host := tapped(t)
	all := host.tap.records()
	deliver(t, host, client, all[len(all)-1])
}
