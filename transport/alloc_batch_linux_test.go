//go:build !race

// The race detector has sync.Pool forget things at random.

package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// numbers is a message with its own encoding.
type numbers struct{ a, b uint64 }

func (n *numbers) AppendBinary(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, n.a), n.b), nil
}

func (n *numbers) UnmarshalBinary(b []byte) error {
	if len(b) != 16 {
		return errors.New("numbers have 16 bytes")
	}
	*n = numbers{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	return nil
}

// numbersCodec encodes numbers by value.
type numbersCodec struct{}

func (numbersCodec) Append(b []byte, v numbers) ([]byte, error) { return v.AppendBinary(b) }
func (numbersCodec) ContentName() string                        { return "binary" }

func (numbersCodec) Decode(b []byte) (v numbers, err error) {
	err = v.UnmarshalBinary(b)
	return v, err
}

// rawNumbers receives numbers as the bytes that they are.
type rawNumbers struct{}

func (rawNumbers) Append(b, v []byte) ([]byte, error) { return append(b, v...), nil }
func (rawNumbers) Decode(b []byte) ([]byte, error)    { return b, nil }
func (rawNumbers) ContentName() string                { return "binary" }

// batchHost serves batches, the last message of which begins with 1, and says on the
// channel that one has arrived.
func batchHost(t *testing.T, codec transport.Codec[[]byte]) (cfg *transport.Config, arrived <-chan struct{}) {
	cfg = &transport.Config{Dir: filepath.Join(t.TempDir(), "endpoints"), NoInProcess: true}
	handled := make(chan struct{}, 1)
	host, err := transport.NewHostWithService("com.example.test", transport.Service[[]byte]{
		Codec: codec, Handle: func(_ context.Context, m transport.Message[[]byte]) {
			if m.Body[0] == 1 {
				handled <- struct{}{}
			}
		},
	}, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, host.Close()) })
	return cfg, handled
}

// Sending a batch does not allocate, whether its messages are bytes or are encoded.
func TestBatchesDoNotAllocate(t *testing.T) {
	const n = 100
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Run("bytes", func(t *testing.T) {
		cfg, arrived := batchHost(t, nil)
		client, err := transport.NewClient[[]byte](ctx, "com.example.test", cfg)
		require.NoError(t, err)
		defer client.Close()
		batch := make([][]byte, n)
		for i := range batch {
			batch[i] = make([]byte, 500)
		}
		batch[n-1][0] = 1
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			if _, err := client.SendBatch(ctx, batch); err != nil {
				t.Error(err)
			}
			<-arrived
		}))
	})
	t.Run("structs", func(t *testing.T) {
		cfg, arrived := batchHost(t, rawNumbers{})
		client, err := transport.NewClientWithCodec(ctx, "com.example.test", numbersCodec{}, cfg)
		require.NoError(t, err)
		defer client.Close()
		batch := make([]numbers, n)
		batch[n-1].a = 1
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			if _, err := client.SendBatch(ctx, batch); err != nil {
				t.Error(err)
			}
			<-arrived
		}))
	})
	t.Run("pointers", func(t *testing.T) {
		cfg, arrived := batchHost(t, rawNumbers{})
		client, err := transport.NewClient[*numbers](ctx, "com.example.test", cfg)
		require.NoError(t, err)
		defer client.Close()
		batch := make([]*numbers, n)
		for i := range batch {
			batch[i] = &numbers{b: uint64(i)}
		}
		batch[n-1].a = 1
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			if _, err := client.SendBatch(ctx, batch); err != nil {
				t.Error(err)
			}
			<-arrived
		}))
	})
}
