package secure_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The benchmarks are about two processes: the benchmark's own and one that it
// starts. Each runs over this package, over package transport (what the
// encryption costs), and over its rivals: crypto/tls and flynn/noise by hand, both
// over a Unix stream socket (rival_test.go).

// carrier is one of those that are compared.
type carrier interface {
	// serve answers each message of marker bytes with itself, and drops the
	// others, until the process ends. ready is called when clients may come.
	serve(dir string, ready func())

	dial(dir string) (benchClient, error)
}

// benchClient sends messages and waits for answers.
type benchClient interface {
	send(p []byte) error
	receive() error
	io.Closer
}

// carriers by name. A batch is flushed when 64 KiB are full, not for each message.
var carriers = map[string]carrier{
	"sealport":         sealport{secured: true},
	"plain":            sealport{},
	"tls-aes":          overStream{secure: tlsWith(true)},
	"tls-aes-batch":    overStream{secure: tlsWith(true), batch: true},
	"tls-chacha":       overStream{secure: tlsWith(false)},
	"noise-by-hand":    overStream{secure: noiseXX},
	"noise-batch":      overStream{secure: noiseXX, batch: true},
	"tls-chacha-batch": overStream{secure: tlsWith(false), batch: true},
}

var (
	each  = []string{"sealport", "plain", "tls-aes", "tls-chacha", "noise-by-hand"}
	batch = []string{"tls-aes-batch", "tls-chacha-batch", "noise-batch"}
)

// A message of this size wants an answer.
const marker = 63

// BenchmarkOneWay sends as fast as the other process receives. The time ends
// when all has been received.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"64B", 64}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
		for _, name := range append(each[:len(each):len(each)], batch...) {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				c := benchHost(b, name)
				p := make([]byte, size.bytes)
				b.ReportAllocs()
				b.SetBytes(int64(size.bytes))
				b.ResetTimer()
				for range b.N {
					if err := c.send(p); err != nil {
						b.Fatal(err)
					}
				}
				roundTrip(b, c)
			})
		}
	}
}

// BenchmarkRoundTrip sends and waits for the answer.
func BenchmarkRoundTrip(b *testing.B) {
	for _, name := range each {
		b.Run(name, func(b *testing.B) {
			c := benchHost(b, name)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				roundTrip(b, c)
			}
		})
	}
}

// BenchmarkConnect connects, exchanges one message and closes.
func BenchmarkConnect(b *testing.B) {
	for _, name := range each {
		b.Run(name, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "e")
			startBench(b, name, dir)
			b.ResetTimer()
			for range b.N {
				c, err := carriers[name].dial(dir)
				if err != nil {
					b.Fatal(err)
				}
				roundTrip(b, c)
				_ = c.Close()
			}
		})
	}
}

var markerBytes = make([]byte, marker)

func roundTrip(b *testing.B, c benchClient) {
	if err := c.send(markerBytes); err != nil {
		b.Fatal(err)
	}
	if err := c.receive(); err != nil {
		b.Fatal(err)
	}
}

// The other process:

const (
	benchCarrier  = "SEALPORT_SECURE_BENCH"
	benchDir      = "SEALPORT_SECURE_BENCH_DIR"
	benchEndpoint = "com.example.bench"
)

// benchProcess is the host of a benchmark.
func benchProcess(name string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
		os.Exit(0)
	}()
	carriers[name].serve(os.Getenv(benchDir), func() { fmt.Println("ready") })
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// benchHost starts a host and connects to it.
func benchHost(b *testing.B, name string) benchClient {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "e")
	startBench(b, name, dir)
	c, err := carriers[name].dial(dir)
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	roundTrip(b, c)
	return c
}

func startBench(b *testing.B, carrier, dir string) {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), benchCarrier+"="+carrier, benchDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready", strings.TrimSpace(line))
}

var background = context.Background()
