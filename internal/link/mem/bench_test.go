package mem_test

import (
	"context"
	"io"
	"testing"

	"github.com/sealport/sealport/internal/link/mem"
)

// BenchmarkOneWay sends frames to a reader that does nothing else.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"64B", 64}, {"4KiB", 4 << 10}, {"64KiB", 64 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			from, to := mem.Pair()
			ctx, body := context.Background(), make([]byte, size.bytes)
			end := make(chan error, 1)
			go func() {
				for {
					if _, err := to.ReadFrame(ctx); err != nil {
						end <- err
						return
					}
				}
			}()
			b.SetBytes(int64(size.bytes))
			b.ReportAllocs()
			for b.Loop() {
				if err := from.WriteFrame(ctx, nil, body); err != nil {
					b.Fatal(err)
				}
			}
			_ = from.Close()
			if err := <-end; err != io.EOF {
				b.Fatal(err)
			}
			_ = to.Close()
		})
	}
}

// BenchmarkPingPong sends a frame and waits for its answer.
func BenchmarkPingPong(b *testing.B) {
	near, far := mem.Pair()
	ctx, body := context.Background(), make([]byte, 64)
	end := make(chan error, 1)
	go func() {
		for {
			frame, err := far.ReadFrame(ctx)
			if err == nil {
				err = far.WriteFrame(ctx, nil, frame)
			}
			if err != nil {
				end <- err
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if err := near.WriteFrame(ctx, nil, body); err != nil {
			b.Fatal(err)
		}
		if _, err := near.ReadFrame(ctx); err != nil {
			b.Fatal(err)
		}
	}
	_ = near.Close()
	if err := <-end; err != io.EOF {
		b.Fatal(err)
	}
	_ = far.Close()
}
