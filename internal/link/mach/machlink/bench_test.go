package machlink_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// The benchmarks run on the real kernel where there is one, with both ends in
// this process. On the simulated kernel they tell what this package adds, and
// what the simulation costs.
func benchmarkKernel() mach.Kernel {
	if k, err := mach.Open(); err == nil {
		return k
	}
	return machtest.New(machtest.XNU11417).NewTask(token(1))
}

func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 28 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			k := benchmarkKernel()
			host, client := machlinktest.Pair(b, k, k, "com.example.sealport.bench")
			defer host.Close()
			defer client.Close()
			body := make([]byte, size)
			done := make(chan error)
			go func() {
				var err error
				for err == nil {
					_, err = host.ReadFrame(context.Background())
				}
				done <- err
			}()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := client.WriteFrame(context.Background(), nil, body); err != nil {
					b.Fatal(err)
				}
			}
			if err := client.CloseWrite(context.Background()); err != nil {
				b.Fatal(err)
			}
			<-done
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	k := benchmarkKernel()
	host, client := machlinktest.Pair(b, k, k, "com.example.sealport.bench")
	defer host.Close()
	defer client.Close()
	go func() {
		for {
			f, err := host.ReadFrame(context.Background())
			if err != nil || host.WriteFrame(context.Background(), nil, f) != nil {
				return
			}
		}
	}()
	body := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.WriteFrame(context.Background(), nil, body); err != nil {
			b.Fatal(err)
		}
		if _, err := client.ReadFrame(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	_ = client.CloseWrite(context.Background())
	host.Interrupt()
}
