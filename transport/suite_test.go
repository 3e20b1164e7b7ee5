package transport_test

import (
	"context"
	"os"
	"testing"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/transport"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(benchVariable); role != "" {
		benchProcess(role)
		return
	}
	transporttest.Main(m, layer)
}

func TestTransport(t *testing.T) { transporttest.Run(t, layer) }

// layer is this package as the suite sees it.
var layer = transporttest.Layer{
	Bytes:   typed[[]byte](),
	Strings: typed[string](),
	Notes:   typed[transporttest.Note](),
	Points:  typed[transporttest.Point](),
	Refs:    typed[*transporttest.Ref](),
	Listen: func(endpoint string, cfg *transport.Config) (transporttest.Listener, error) {
		l, err := transport.Listen(endpoint, cfg)
		if err != nil {
			return nil, err
		}
		return listener{l}, nil
	},
	Dial: func(ctx context.Context, endpoint string, cfg *transport.Config) (transporttest.Conn, error) {
		return orNil[transporttest.Conn](transport.Dial(ctx, endpoint, cfg))
	},
}

type listener struct{ *transport.Listener }

func (l listener) Accept(ctx context.Context) (transporttest.Conn, error) {
	return orNil[transporttest.Conn](l.Listener.Accept(ctx))
}

func typed[T any]() transporttest.Typed[T] {
	return transporttest.Typed[T]{
		NewHost: func(endpoint string, codec transport.Codec[T], handler func(context.Context, transport.Message[T]), cfg *transport.Config) (transporttest.Host, error) {
			if codec == nil {
				return orNil[transporttest.Host](transport.NewHost(endpoint, handler, cfg))
			}
			return orNil[transporttest.Host](transport.NewHostWithCodec(endpoint, codec, handler, cfg))
		},
		NewClient: func(ctx context.Context, endpoint string, codec transport.Codec[T], cfg *transport.Config) (transporttest.Client[T], error) {
			if codec == nil {
				return orNil[transporttest.Client[T]](transport.NewClient[T](ctx, endpoint, cfg))
			}
			return orNil[transporttest.Client[T]](transport.NewClientWithCodec(ctx, endpoint, codec, cfg))
		},
	}
}

// orNil makes an interface of what a constructor returned: nil on error.
func orNil[I any](v any, err error) (I, error) {
	if err != nil {
		var none I
		return none, err
	}
	return v.(I), nil
}
