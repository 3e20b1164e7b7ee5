package machlink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestConnectExchangesHellosAndTokens(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	hello := []byte(strings.Repeat("h", machlink.MaxHello))
	done := make(chan link.Link)
	go func() {
		defer close(done)
		p, err := ln.Accept(ctx)
		if !assert.NoError(t, err) {
			return
		}
		assert.Equal(t, hello, p.Hello())
		assert.Equal(t, tokenOf(t, m.client), p.Credentials().AuditToken)
		l, err := p.Accept([]byte("welcome"))
		if assert.NoError(t, err) {
			done <- l
		}
	}()
	client, answer, accepted, err := machlink.Dial(ctx, m.client, service, hello)
	require.NoError(t, err)
	host := <-done
	require.NotNil(t, host)
	assert.True(t, accepted)
	assert.Equal(t, "welcome", string(answer))
	assert.Equal(t, tokenOf(t, m.host), client.Credentials().AuditToken)
	assert.Equal(t, tokenOf(t, m.client), host.Credentials().AuditToken)
	assert.NoError(t, errors.Join(client.Close(), host.Close(), ln.Close()))
	assert.NoError(t, errors.Join(client.Close(), host.Close(), ln.Close()), "Close is idempotent")
}

// tokenOf is the audit token that messages of the process carry.
func tokenOf(t *testing.T, p machtest.Process) [8]uint32 {
	t.Helper()
	token, err := p.Token()
	require.NoError(t, err)
	return token
}

func TestRefusalCarriesAnswer(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		p, err := ln.Accept(ctx)
		if assert.NoError(t, err) {
			assert.NoError(t, p.Refuse([]byte("not you")))
			assert.ErrorIs(t, p.Refuse(nil), link.ErrClosed)
			_, err = p.Accept(nil)
			assert.ErrorIs(t, err, link.ErrClosed)
		}
	})
	l, answer, accepted, err := machlink.Dial(ctx, m.client, service, nil)
	require.NoError(t, err)
	assert.Nil(t, l)
	assert.False(t, accepted)
	assert.Equal(t, "not you", string(answer))
}

// TestNameThatLaunchdStillKnows: the host before has ended, and launchd has not
// heard of it yet.
func TestNameThatLaunchdStillKnows(t *testing.T) {
	m := newMachine(t)
	launchd := m.Simulated(t, "a name that launchd still knows")
	for _, answer := range []mach.Errno{mach.BootstrapServiceActive, mach.BootstrapNameInUse, mach.BootstrapNotPrivileged} {
		launchd.Declare(service) // so that it can be looked up, as then
		asked := 0
		m.host.Inject(func(c machtest.Call) mach.Errno {
			if c.Op == machtest.OpCheckIn {
				if asked++; asked <= 3 {
					return answer
				}
			}
			return 0
		})
		ln, err := machlink.Listen(m.host, service)
		require.NoError(t, err)
		assert.Equal(t, 4, asked)
		require.NoError(t, ln.Close())
		launchd.Undeclare(service)
	}
	// A name that no process offers is not found.
	asked := 0
	m.host.Inject(func(c machtest.Call) mach.Errno {
		if c.Op == machtest.OpCheckIn {
			asked++
			return mach.BootstrapNotPrivileged
		}
		return 0
	})
	_, err := machlink.Listen(m.host, service)
	require.ErrorIs(t, err, machlink.ErrPermission)
	assert.Equal(t, 1, asked)
}

func TestNames(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	_, err = machlink.Listen(m.client, service)
	assert.ErrorIs(t, err, machlink.ErrInUse)
	_, err = machlink.Listen(m.host, service)
	assert.ErrorIs(t, err, machlink.ErrInUse)
	_, _, _, err = machlink.Dial(ctx, m.client, "com.example.unknown", nil)
	assert.ErrorIs(t, err, machlink.ErrNotFound)
	_, _, _, err = machlink.Dial(ctx, m.client, service, make([]byte, machlink.MaxHello+1))
	assert.ErrorIs(t, err, link.ErrFrameTooLarge)
	require.NoError(t, ln.Close())

	// The name is free again, for anyone.
	ln, err = machlink.Listen(m.client, service)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

func TestDeniedName(t *testing.T) {
	m := newMachine(t)
	m.Simulated(t, "a sandbox").Deny(service)
	_, err := machlink.Listen(m.host, service)
	assert.ErrorIs(t, err, machlink.ErrPermission)
	_, _, _, err = machlink.Dial(testContext(t), m.client, service, nil)
	assert.ErrorIs(t, err, machlink.ErrPermission)
}

// onDemand is a need of tests: a name that launchd knows from a property list.
const onDemand = "a host on demand"

func TestDialObeysContext(t *testing.T) {
	m := newMachine(t)
	launchd := m.Simulated(t, onDemand)
	launchd.Declare(service) // known, but no process has checked in: the hello waits
	ctx, cancel := context.WithCancel(testContext(t))
	errs := make(chan error)
	go func() {
		_, _, _, err := machlink.Dial(ctx, m.client, service, nil)
		errs <- err
	}()
	cancel()
	assert.ErrorIs(t, <-errs, context.Canceled)
	// The port of the declared service is launchd's.
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	m.host.Kill()
	assert.Equal(t, 1, m.LivePorts())
	launchd.Undeclare(service)
}

func TestDialWaitsForOnDemandHost(t *testing.T) {
	m := newMachine(t)
	launchd := m.Simulated(t, onDemand)
	launchd.Declare(service)
	defer launchd.Undeclare(service)
	ctx := testContext(t)
	type result struct {
		l   link.Link
		err error
	}
	results := make(chan result)
	go func() {
		l, _, _, err := machlink.Dial(ctx, m.client, service, []byte("early"))
		results <- result{l, err}
	}()
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	assert.Equal(t, "early", string(p.Hello()))
	host, err := p.Accept(nil)
	require.NoError(t, err)
	r := <-results
	require.NoError(t, r.err)
	assert.NoError(t, errors.Join(r.l.Close(), host.Close(), ln.Close()))
}

func TestHostThatDropsTheHelloIsNoticed(t *testing.T) {
	for name, drop := range map[string]func(machine, *machlink.Listener){
		"listener closed": func(m machine, ln *machlink.Listener) { ln.Close() },
		"host killed":     func(m machine, ln *machlink.Listener) { m.host.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			ctx := testContext(t)
			ln, err := machlink.Listen(m.host, service)
			require.NoError(t, err)
			errs := make(chan error)
			go func() {
				_, _, _, err := machlink.Dial(ctx, m.client, service, nil)
				errs <- err
			}()
			p, err := ln.Accept(ctx) // the hello has arrived
			require.NoError(t, err)
			drop(m, ln)
			if name == "listener closed" {
				// The one that Accept returned is still the caller's.
				require.NoError(t, p.Refuse(nil))
				require.NoError(t, <-errs)
				return
			}
			assert.ErrorIs(t, <-errs, link.ErrPeerGone)
			assert.Error(t, p.Refuse(nil))
			ln.Close()
		})
	}
}

func TestDropIsNoticed(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	defer ln.Close()
	errs := make(chan error)
	go func() {
		_, _, _, err := machlink.Dial(ctx, m.client, service, nil)
		errs <- err
	}()
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	require.NoError(t, p.Drop())
	require.NoError(t, p.Drop())
	assert.ErrorIs(t, <-errs, link.ErrPeerGone)
}

func TestSelfConnection(t *testing.T) {
	// Host and client in one task share one name space: the host's send right
	// and the client's receive right have the same name.
	m := newMachine(t)
	for _, clientFirst := range []bool{true, false} {
		host, client := pairOf(t, m.host, m.host)
		ctx := testContext(t)
		require.NoError(t, client.WriteFrame(ctx, nil, []byte("a")))
		require.NoError(t, host.WriteFrame(ctx, nil, []byte("b")))
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		assert.Equal(t, "a", string(f))
		if clientFirst {
			host, client = client, host
		}
		require.NoError(t, host.Close())
		<-client.Gone().Done()
	}
}

func TestManyConnections(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	const connections = 200
	var wg sync.WaitGroup
	wg.Go(func() {
		for range connections {
			p, err := ln.Accept(ctx)
			if !assert.NoError(t, err) {
				return
			}
			wg.Go(func() {
				l, err := p.Accept(p.Hello())
				if !assert.NoError(t, err) {
					return
				}
				for {
					f, err := l.ReadFrame(ctx)
					if err != nil {
						assert.Equal(t, io.EOF, err)
						break
					}
					assert.NoError(t, l.WriteFrame(ctx, nil, f))
				}
				assert.NoError(t, l.Close())
			})
		}
	})
	for i := range connections {
		wg.Go(func() {
			name := fmt.Sprint(i)
			l, answer, _, err := machlink.Dial(ctx, m.client, service, []byte(name))
			if !assert.NoError(t, err) {
				return
			}
			assert.Equal(t, name, string(answer))
			for range 20 {
				assert.NoError(t, l.WriteFrame(ctx, nil, []byte(name)))
				f, err := l.ReadFrame(ctx)
				assert.NoError(t, err)
				assert.Equal(t, name, string(f))
			}
			assert.NoError(t, l.Close())
		})
	}
	wg.Wait()
	require.NoError(t, ln.Close())
}
