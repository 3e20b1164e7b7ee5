package transporttest

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// roleTests are about two sides that do not fit each other.
var roleTests = []test{{"ContentsDiffer", testContents}}

// ends are constructors of both sides for one content.
type ends struct {
	content string
	host    func(e *env, cfg *transport.Config) (Host, error)
	client  func(e *env) error
}

// endsOf makes ends for a type.
func endsOf[T any](content string, of func(*env) Typed[T], codec transport.Codec[T]) ends {
	return ends{content,
		func(e *env, cfg *transport.Config) (Host, error) {
			s := service(func(context.Context, transport.Message[T]) {})
			s.Codec = codec
			return of(e).NewHost(e.endpoint, s, cfg)
		},
		func(e *env) error {
			c, err := of(e).NewClient(context.Background(), e.endpoint, codec, e.config())
			if err != nil {
				return err
			}
			return c.Close()
		},
	}
}

// Two sides whose contents differ do not connect, and both say which they are.
func testContents(t *testing.T, e *env) {
	table := []ends{
		endsOf("bytes", func(e *env) Typed[[]byte] { return e.Bytes }, nil),
		endsOf("string", func(e *env) Typed[string] { return e.Strings }, nil),
		endsOf("json", func(e *env) Typed[Note] { return e.Notes }, nil),
		endsOf("binary", func(e *env) Typed[Point] { return e.Points }, nil),
		endsOf("custom", func(e *env) Typed[Item] { return e.Items }, itemCodec{}),
		endsOf("proto:acme.Order", func(e *env) Typed[[]byte] { return e.Bytes }, transport.Codec[[]byte](bytesAs("proto:acme.Order"))),
	}
	for _, serving := range table {
		e := newEnv(t, e.Layer, e.variant)
		failures := make(chan error, 1)
		h, err := serving.host(e, e.config(func(c *transport.Config) {
			c.OnError = func(err error) { failures <- err }
		}))
		require.NoError(t, err)
		for _, dialling := range table {
			err := dialling.client(e)
			if dialling.content == serving.content {
				require.NoError(t, err)
				continue
			}
			for _, err := range []error{err, await(t, failures)} {
				require.ErrorIs(t, err, transport.ErrType)
				text := fmt.Sprint(err) // both names are what it is for
				assert.Contains(t, text, fmt.Sprintf("%q", serving.content))
				assert.Contains(t, text, fmt.Sprintf("%q", dialling.content))
			}
		}
		assert.EqualValues(t, len(table)-1, h.Stats().Refused)
		require.NoError(t, h.Close())
	}
}

// testRoles: each setting is for both roles, or a client refuses it.
func testRoles(t *testing.T, l Layer) {
	type row struct {
		hosts bool // only
		set   func(*transport.Config)
	}
	table := map[string]row{
		"Peer":                     {false, func(c *transport.Config) { c.Peer = peer.SameUser() }},
		"Logger":                   {false, func(c *transport.Config) { c.Logger = slog.New(slog.DiscardHandler) }},
		"OnError":                  {true, func(c *transport.Config) { c.OnError = func(error) {} }},
		"Dir":                      {false, func(*transport.Config) {}}, // env.config sets it
		"Shared":                   {true, func(c *transport.Config) { Open(c.Dir); c.Shared = true }},
		"BufferSize":               {false, func(c *transport.Config) { c.BufferSize = transport.MinBufferSize }},
		"MaxMessageSize":           {false, func(c *transport.Config) { c.MaxMessageSize = 100 }},
		"MaxConnections":           {true, func(c *transport.Config) { c.MaxConnections = 1 }},
		"HandshakeTimeout":         {false, func(c *transport.Config) { c.HandshakeTimeout = limit }},
		"Attested":                 {false, func(c *transport.Config) { c.Attested = true }},
		"HighPerformanceThreshold": {false, func(c *transport.Config) { c.HighPerformanceThreshold = -1 }},
		"ReceiverPriority":         {true, func(c *transport.Config) { c.ReceiverPriority = transport.PriorityLow }},
		"LogThroughput": {true, func(c *transport.Config) {
			c.LogThroughput, c.Logger = true, slog.New(slog.DiscardHandler)
		}},
		"NoInProcess": {false, func(c *transport.Config) { c.NoInProcess = true }},
		"Carrier":     {false, nil}, // not for applications
		"Security":    {false, nil}, // not for applications
	}
	for i := range reflect.TypeFor[transport.Config]().NumField() {
		name := reflect.TypeFor[transport.Config]().Field(i).Name
		row, ok := table[name]
		if !assert.True(t, ok, "no row says whether a client uses %s", name) || row.set == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, l, variants[0])
			cfg, ctx := e.config(row.set), context30(t)
			want := transport.ErrNoHost
			if row.hosts {
				want = transport.ErrConfig
			}
			_, err := l.Strings.NewClient(ctx, e.endpoint, nil, cfg)
			assert.ErrorIs(t, err, want)
			_, err = l.Dial(ctx, e.endpoint, cfg)
			assert.ErrorIs(t, err, want)

			h, err := l.Strings.NewHost(e.endpoint, service(func(context.Context, transport.Message[string]) {}), cfg)
			require.NoError(t, err)
			require.NoError(t, h.Close())
			listener, err := l.Listen(e.endpoint, cfg)
			require.NoError(t, err)
			require.NoError(t, listener.Close())
		})
	}
}
