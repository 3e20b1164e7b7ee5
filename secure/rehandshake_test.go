package secure_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
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
	"github.com/sealport/sealport/transport"
)

// rehandshake does a rehandshake, and reads on the host's side, which it needs.
func rehandshake(t *testing.T, client, host side) {
	t.Helper()
	before := client.HandshakeHash()
	client.Rehandshake()
	settle(t, client, host, before)
}

// settle waits for the end of the handshake after that of the given hash.
func settle(t *testing.T, client, host side, before string) {
	t.Helper()
	ctx, cancel := context.WithCancel(hung(t))
	read := make(chan error)
	go func() {
		_, err := host.ReadFrame(ctx)
		read <- err
	}()
	require.Eventually(t, func() bool { return rehandshaken(client.Link, host.Link, before) }, limit, tick)
	cancel()
	require.ErrorIs(t, await(t, read), context.Canceled)
}

// rehandshaken reports whether a rehandshake has ended on both sides.
func rehandshaken(client, host *secure.Link, before string) bool {
	now := client.HandshakeHash()
	return now != before && now == host.HandshakeHash() && !client.Rehandshaking() && !host.Rehandshaking()
}

// TestRehandshake: the keys are new, the peers the same, though the client's side
// receives nothing, with every pattern.
func TestRehandshake(t *testing.T) {
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		t.Run(pattern.String(), func(t *testing.T) {
			a, b := mem.Pair()
			ta, tb := &tap{Link: a}, &tap{Link: b}
			cc, hc := configsOf(pattern)
			c, h, err := secure.Pair(t.Context(), ta, tb, cc, hc)
			require.NoError(t, err)
			defer c.Close()
			defer h.Close()
			client, host := side{c, ta, t}, side{h, tb, t}
			first, peers := client.HandshakeHash(), client.PeerKey()+host.PeerKey()
			rehandshake(t, client, host)
			assert.NotEqual(t, first, client.HandshakeHash())
			assert.Equal(t, peers, client.PeerKey()+host.PeerKey())
			client.write("up")
			host.read("up")
			host.write("down")
			client.read("down")
		})
	}
}

// TestRehandshakeWhileMessagesGoOn: in both directions, in order, over shared memory.
func TestRehandshakeWhileMessagesGoOn(t *testing.T) {
	t.Parallel()
	x, y, _, _ := transporttest.Rings(t, 64<<10)
	c, h := pairOver(t, x, y)
	defer c.Close()
	defer h.Close()
	const rehandshakes = 4
	done := make(chan struct{})
	var all, writers sync.WaitGroup
	for _, pair := range [][2]*secure.Link{{c, h}, {h, c}} {
		from, to := pair[0], pair[1]
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					assert.NoError(t, from.CloseWrite(hung(t)))
					return
				default:
				}
				if i%500 == 0 {
					from.RekeyDue()
				}
				// Some have no time to wait for room: they are sent again.
				ctx, cancel := context.WithCancel(hung(t))
				if i%7 == 0 {
					cancel()
				}
				err := from.WriteFrame(ctx, []byte("n "), []byte(strconv.Itoa(i)))
				cancel()
				if errors.Is(err, context.Canceled) {
					i--
				} else if !assert.NoError(t, err) {
					return
				}
			}
		})
		all.Go(func() {
			for i := 0; ; i++ {
				frame, err := to.ReadFrame(hung(t))
				if err == io.EOF {
					return
				}
				if !assert.NoError(t, err) || !assert.Equal(t, "n "+strconv.Itoa(i), string(frame)) {
					return
				}
			}
		})
	}
	hashes := map[string]bool{c.HandshakeHash(): true}
	for range rehandshakes {
		c.Rehandshake()
		ok := assert.Eventually(t, func() bool {
			return !c.Rehandshaking() && !h.Rehandshaking() && !hashes[c.HandshakeHash()] && c.HandshakeHash() == h.HandshakeHash()
		}, limit, tick)
		if !ok {
			break
		}
		hashes[c.HandshakeHash()] = true
	}
	close(done)
	writers.Wait()
	all.Wait()
	assert.Len(t, hashes, rehandshakes+1)
}

// TestRehandshakeWaitsForUnreadReplies: a client that does not read what the host has
// sent loses nothing of it to a handshake within, which ends when it reads.
func TestRehandshakeWaitsForUnreadReplies(t *testing.T) {
	client, host := tapped(t)
	first := client.HandshakeHash()
	for _, s := range []string{"one", "two", "three"} {
		host.write(s)
	}
	client.Rehandshake()
	require.Eventually(t, client.Stashed, limit, tick)
	client.write("up")
	host.read("up") // and with it the handshake's first message
	for _, s := range []string{"one", "two", "three"} {
		client.read(s)
	}
	settle(t, client, host, first) // though nobody reads on there
}

// TestRehandshakeOfHalfClosedConnection: the direction that goes on goes on.
func TestRehandshakeOfHalfClosedConnection(t *testing.T) {
	for _, clientCloses := range []bool{true, false} {
		client, host := tapped(t)
		closes, goesOn := client, host
		if !clientCloses {
			closes, goesOn = host, client
		}
		require.NoError(t, closes.Link.CloseWrite(t.Context()))
		client.Rehandshake()
		for range 10 {
			goesOn.write("still here")
			closes.read("still here")
		}
		goesOn.fails(io.EOF)
	}
}

// TestCloseWriteDoesNotWaitForRehandshake: which has no room for its message.
func TestCloseWriteDoesNotWaitForRehandshake(t *testing.T) {
	client, host := tapped(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	sent := 0
	const fits = "123456789" // leaves less of the ring than a goodbye takes
	for client.WriteFrame(over, nil, []byte(fits)) == nil {
		sent++
	}
	client.Rehandshake()
	require.Eventually(t, client.Writing, limit, tick)
	closed := make(chan error)
	go func() { closed <- client.Link.CloseWrite(over) }()
	require.ErrorIs(t, await(t, closed), context.Canceled, "there is no room for a goodbye either")
	for range sent {
		host.read(fits)
	}
	host.fails(secure.ErrTruncated)
}

// TestRehandshakeWithAnotherKey: also with one that is trusted.
func TestRehandshakeWithAnotherKey(t *testing.T) {
	both := keys.Allow(clientKey.Public(), otherKey.Public())
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	c, h, err := secure.Pair(t.Context(), ta, tb, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = both }))
	require.NoError(t, err)
	defer c.Close()
	defer h.Close()
	c.SetKey(otherKey)
	c.Rehandshake()
	side{h, tb, t}.fails(secure.ErrHandshake, transport.ErrProtocol, keys.ErrUntrusted)
}

// TestRehandshakeWithPeerThatGoes: what it sent before is read, and then that it is gone.
func TestRehandshakeWithPeerThatGoes(t *testing.T) {
	for range 20 {
		a, b, _, kill := transporttest.Rings(t, 64<<10)
		c, h := pairOver(t, a, b)
		for range 10 {
			require.NoError(t, h.WriteFrame(t.Context(), nil, []byte("x")))
		}
		kill()
		c.Rehandshake()
		for range 10 {
			_, err := c.ReadFrame(hung(t))
			require.NoError(t, err)
		}
		_, err := c.ReadFrame(hung(t))
		require.ErrorIs(t, err, link.ErrPeerGone)
		require.NotErrorIs(t, err, transport.ErrProtocol)
		require.NoError(t, c.Close())
		_ = h.Close() // kill has closed a part of it
	}
}

// TestCloseDuringRehandshake leaves nothing behind (TestMain looks) and does not hang,
// at whatever moment it comes.
func TestCloseDuringRehandshake(t *testing.T) {
	t.Parallel()
	for round := range 200 {
		a, b := mem.Pair()
		c, h := pairOver(t, a, b)
		if round%4 == 0 { // no room for its messages
			over, cancel := context.WithCancel(t.Context())
			cancel()
			for c.WriteFrame(over, nil, make([]byte, 1000)) == nil {
			}
		}
		var all sync.WaitGroup
		for _, l := range []*secure.Link{c, h} {
			all.Go(func() {
				for {
					if _, err := l.ReadFrame(hung(t)); err != nil {
						assert.ErrorIs(t, err, link.ErrClosed)
						assert.NotErrorIs(t, err, secure.ErrHandshake)
						return
					}
				}
			})
		}
		c.Rehandshake()
		if pause := rand.N(600 * time.Microsecond); round%2 == 0 {
			<-time.After(pause)
		}
		c.Interrupt()
		h.Interrupt()
		all.Wait()
		require.NoError(t, c.Close())
		require.NoError(t, h.Close())
	}
}

// TestRehandshakeByTime: after each RehandshakeInterval, and never if that is -1.
func TestRehandshakeByTime(t *testing.T) {
	for interval, want := range map[time.Duration]int{0: 3, time.Second: 3 * 3600, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			a, b := mem.Pair()
			set := func(c *secure.Config) { c.RehandshakeInterval = interval }
			c, h, err := secure.Pair(t.Context(), a, b, clientConfig(nil, set, classical), hostConfig(nil, classical))
			require.NoError(t, err)
			read := make(chan error)
			go func() {
				_, err := h.ReadFrame(context.Background())
				read <- err
			}()
			last, changes := c.HandshakeHash(), 0
			steps := 3
			if interval == time.Second {
				steps, want = 12, 12 // a few of them
			}
			for range steps {
				d := time.Hour
				if interval == time.Second {
					d = time.Second
				}
				time.Sleep(d)
				synctest.Wait()
				require.Equal(t, c.HandshakeHash(), h.HandshakeHash())
				if now := c.HandshakeHash(); now != last {
					last = now
					changes++
				}
			}
			assert.Equal(t, want, changes, "%v", interval)
			require.NoError(t, c.Close())
			require.Equal(t, io.EOF, <-read)
			require.NoError(t, h.Close())
		})
	}
}

// TestHostileRehandshakes: a peer that does not keep to the order, or to the rate, ends
// its connection.
func TestHostileRehandshakes(t *testing.T) {
	begin := func(s side) []byte {
		first, err := s.BeginHandshake()
		require.NoError(s.t, err)
		return first
	}
	for name, attack := range map[string]func(client, host side) (victim side){
		"switch without a handshake":         func(c, h side) side { c.send(4, nil); return h },
		"host's switch without a handshake":  func(c, h side) side { h.send(4, nil); return c },
		"switch too early":                   func(c, h side) side { c.send(3, begin(c)); c.send(4, nil); return h },
		"garbage":                            func(c, h side) side { c.send(3, []byte("garbage")); return h },
		"first message for the third":        func(c, h side) side { c.send(3, begin(c)); c.send(3, begin(c)); return h },
		"host begins":                        func(c, h side) side { h.send(3, begin(c)); return c },
		"first message of another handshake": func(c, h side) side { o, _ := tapped(c.t); c.send(3, begin(o)[:100]); return h },
	} {
		t.Run(name, func(t *testing.T) {
			client, host := tapped(t)
			victim := attack(client, host)
			victim.fails(secure.ErrHandshake, transport.ErrProtocol)
			require.Error(t, victim.WriteFrame(t.Context(), nil, nil), "the other direction ends too")
		})
	}
	t.Run("the next one before the switch", func(t *testing.T) {
		a, b := mem.Pair()
		ta, tb := &tap{Link: a}, &tap{Link: b}
		cc, hc := configsOf(handshake.IK)
		c, h, err := secure.Pair(t.Context(), ta, tb, cc, hc)
		require.NoError(t, err)
		defer c.Close()
		defer h.Close()
		client, host := side{c, ta, t}, side{h, tb, t}
		read := make(chan error, 1)
		go func() {
			_, err := h.ReadFrame(hung(t))
			read <- err
		}()
		require.NoError(t, c.HalfRehandshake(hung(t)))
		client.send(3, begin(client))
		client.write("late") // which a host that accepts it reads
		err = await(t, read)
		require.ErrorIs(t, err, secure.ErrHandshake)
		require.ErrorIs(t, err, transport.ErrProtocol)
		host.fails(secure.ErrHandshake, transport.ErrProtocol)
	})
	t.Run("too often", func(t *testing.T) {
		client, host := tapped(t)
		begun := time.Now()
		for i := 0; ; i++ {
			require.Less(t, i, 100)
			before := client.HandshakeHash()
			client.Rehandshake()
			ctx, cancel := context.WithCancel(hung(t))
			read := make(chan error)
			go func() {
				_, err := host.ReadFrame(ctx)
				read <- err
			}()
			var ended error
			for ended == nil && !rehandshaken(client.Link, host.Link, before) {
				select {
				case ended = <-read:
				case <-time.After(tick):
				}
			}
			cancel()
			if ended == nil {
				ended = <-read
			}
			if errors.Is(ended, context.Canceled) {
				continue
			}
			require.ErrorIs(t, ended, secure.ErrHandshake)
			require.GreaterOrEqual(t, i, 8-1)
			require.LessOrEqual(t, i, 8+1+int(time.Since(begun)/time.Second))
			return
		}
	})
}

// TestRehandshakesAreNotSavedUp: a client that was idle for a day may begin no more at a
// time than one that has just connected.
func TestRehandshakesAreNotSavedUp(t *testing.T) {
	never := func(c *secure.Config) { c.RehandshakeInterval = -1 } // by itself
	synctest.Test(t, func(t *testing.T) {
		a, b := mem.Pair()
		c, h, err := secure.Pair(t.Context(), a, b, clientConfig(nil, never, classical), hostConfig(nil, classical))
		require.NoError(t, err)
		read := make(chan error)
		go func() {
			_, err := h.ReadFrame(context.Background())
			read <- err
		}()
		// again begins rehandshakes until the host ends the connection, at most n.
		again := func(n int) (done int) {
			for done < n {
				before := c.HandshakeHash()
				c.Rehandshake()
				synctest.Wait()
				if !rehandshaken(c, h, before) {
					break
				}
				done++
			}
			return done
		}
		require.Equal(t, 5, again(5))
		time.Sleep(3 * time.Second)
		require.Equal(t, 6, again(6), "3 of 8 were left, and 3 seconds are 3 more")
		time.Sleep(24 * time.Hour)
		require.Equal(t, 8, again(100))
		require.ErrorIs(t, <-read, secure.ErrHandshake)
		require.NoError(t, c.Close())
		require.NoError(t, h.Close())
	})
}

// TestRekeysWithoutData: an honest side that changes its key by the clock and gives its
// sends up is not taken for a peer that sends nothing but rekeys, which is refused.
func TestRekeysWithoutData(t *testing.T) {
	client, host := tapped(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	large := make([]byte, client.MaxFrame())
	sent := 0
	for client.WriteFrame(over, nil, large) == nil {
		sent++
	}
	for range 100 { // a rekey has room, and the data has not
		client.RekeyDue()
		require.ErrorIs(t, client.WriteFrame(over, nil, large), context.Canceled)
	}
	for range sent {
		host.read(string(large))
	}
	client.write("still here")
	host.read("still here")

	for range 17 {
		require.NoError(t, client.SendRekey(hung(t)))
	}
	client.write("late")
	host.fails(secure.ErrRecord, transport.ErrProtocol)
}

// fickle trusts until it is told not to, and calls no OnRevoke function.
type fickle struct {
	keys.Trust
	mu sync.Mutex
	no error
}

func (f *fickle) Verify(context.Context, string, keys.PublicKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.no
}

func (f *fickle) OnRevoke(string, keys.PublicKey, func()) func() { return func() {} }

func (f *fickle) set(no error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.no = no
}

// TestRehandshakeAsksAgain: trust that has ended meanwhile ends the connection; a trust
// file that can't be read at that moment does not.
func TestRehandshakeAsksAgain(t *testing.T) {
	trust := &fickle{}
	a, b := mem.Pair()
	ta, tb := &tap{Link: a}, &tap{Link: b}
	c, h, err := secure.Pair(t.Context(), ta, tb, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = trust }))
	require.NoError(t, err)
	defer c.Close()
	defer h.Close()
	client, host := side{c, ta, t}, side{h, tb, t}
	for _, unknown := range []error{keys.ErrTrustFile, syscall.EMFILE} {
		trust.set(unknown)
		rehandshake(t, client, host)
	}
	trust.set(keys.ErrUntrusted)
	client.Rehandshake()
	host.fails(secure.ErrRevoked, keys.ErrUntrusted)
	require.ErrorIs(t, host.WriteFrame(t.Context(), nil, nil), secure.ErrRevoked)
}

// TestRevokedEndsBothDirections: at once, also for what has arrived already.
func TestRevokedEndsBothDirections(t *testing.T) {
	trust := keys.Allow(clientKey.Public())
	a, b, _, _ := transporttest.Rings(t, 64<<10)
	c, h, err := secure.Pair(t.Context(), a, b, clientConfig(nil), hostConfig(nil, func(c *secure.Config) { c.Trust = trust }))
	require.NoError(t, err)
	defer c.Close()
	defer h.Close()
	for range 2 {
		require.NoError(t, c.WriteFrame(t.Context(), nil, []byte("in private memory")))
	}
	_, err = h.ReadFrame(hung(t))
	require.NoError(t, err)
	require.NoError(t, h.WriteFrame(t.Context(), nil, []byte("not read")))
	require.True(t, h.Backlogged())
	trust.Remove(clientKey.Public())
	_, err = h.ReadFrame(hung(t))
	require.ErrorIs(t, err, secure.ErrRevoked)
	require.ErrorIs(t, h.WriteFrame(over(t), nil, []byte("x")), secure.ErrRevoked)
	require.ErrorIs(t, h.WriteFrame(t.Context(), nil, nil), secure.ErrRevoked)
	require.ErrorIs(t, h.WaitDrained(t.Context()), secure.ErrRevoked)
	require.False(t, h.Backlogged(), "nothing is coalesced for a peer that will not get it")
}
