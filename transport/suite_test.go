package transport_test

import (
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
	Items:   typed[transporttest.Item](),
	Listen:  transport.Listen,
	Dial:    transport.Dial,
}

func typed[T any]() transporttest.Typed[T] {
	return transporttest.Typed[T]{NewHost: transport.NewHostWithService[T], NewClient: transport.NewClientWithCodec[T]}
}
