package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// The benchmarks are about two processes: the benchmark's own and one that it
// starts. Each has a counterpart over a Unix stream socket, written as people
// write it, so that a single run compares (rival_test.go).

// carrier is one of the two that are compared.
type carrier interface {
	// serve answers each message of marker bytes with itself and counts the
	// others, until the process ends. ready is called when clients may come.
	serve(folder string, handle func(size int), ready func())

	dial(folder string) (benchClient, error)
}

// benchClient sends messages and waits for answers.
type benchClient interface {
	send(p []byte) error
	receive() error
	io.Closer
}

var carriers = map[string]carrier{"sealport": sealport{}, "unix-stream": stream{}}

var carrierNames = []string{"sealport", "unix-stream"}

// A message of this size wants an answer.
const marker = 63

var benchSizes = []struct {
	name  string
	bytes int
}{{"64B", 64}, {"1KiB", 1 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}, {"10MiB", 10 << 20}}

// BenchmarkOneWay sends as fast as the other process receives. The time ends
// when all has been received.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range benchSizes {
		for _, name := range carrierNames {
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
	for _, name := range carrierNames {
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

var markerBytes = make([]byte, marker)

func roundTrip(b *testing.B, c benchClient) {
	if err := c.send(markerBytes); err != nil {
		b.Fatal(err)
	}
	if err := c.receive(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFanIn receives messages of 64 bytes from several clients at once, all
// in the other process.
func BenchmarkFanIn(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		for _, name := range carrierNames {
			b.Run(fmt.Sprintf("%d/%s", clients, name), func(b *testing.B) {
				folder := benchPlace(b)
				p := startBench(b, "host", name, folder)
				p.expect(b, "ready")
				crowd := startBench(b, fmt.Sprint("clients ", clients), name, folder)
				crowd.expect(b, "ready")
				b.ResetTimer()
				crowd.tell(b, strconv.Itoa(b.N))
				crowd.expect(b, "sent") // and answered: all has been received
				b.StopTimer()
			})
		}
	}
}

// The other process:

const (
	benchVariable  = "SEALPORT_BENCH_ROLE"
	benchCarrier   = "SEALPORT_BENCH_CARRIER"
	benchFolder    = "SEALPORT_BENCH_FOLDER"
	benchEndpoint  = "com.example.bench"
	fanInBytes     = 64
	benchClientsOf = "clients "
)

func benchProcess(role string) {
	c, folder := carriers[os.Getenv(benchCarrier)], os.Getenv(benchFolder)
	if isSeedRole(role) {
		seedHost(role, folder)
		return
	}
	if role == "host" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
			os.Exit(0)
		}()
		c.serve(folder, func(int) {}, func() { fmt.Println("ready") })
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(role, benchClientsOf))
	check(err)
	clients := make([]benchClient, n)
	for i := range clients {
		clients[i], err = c.dial(folder)
		check(err)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		total, err := strconv.Atoi(lines.Text())
		check(err)
		done := make(chan struct{})
		for i, c := range clients {
			share := total / n
			if i < total%n {
				share++
			}
			go func() {
				p := make([]byte, fanInBytes)
				for range share {
					check(c.send(p))
				}
				check(c.send(markerBytes))
				check(c.receive())
				done <- struct{}{}
			}()
		}
		for range clients {
			<-done
		}
		fmt.Println("sent")
	}
}

// benchPlace is a folder for one benchmark, not made yet.
func benchPlace(b testing.TB) string { return filepath.Join(b.TempDir(), "e") }

// benchConfig says where in a folder the endpoint is. Darwin's endpoints have no
// folders: there it has a name of its own.
func benchConfig(folder string) (endpoint string, cfg *transport.Config) {
	if runtime.GOOS != "darwin" {
		return benchEndpoint, &transport.Config{Dir: folder}
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, folder)
	return fmt.Sprintf("%s.%x", benchEndpoint, h.Sum64()), nil
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
	folder := benchPlace(b)
	startBench(b, "host", name, folder).expect(b, "ready")
	c, err := carriers[name].dial(folder)
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	roundTrip(b, c)
	return c
}

type benchChild struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startBench(b testing.TB, role, carrier, folder string) *benchChild {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), benchVariable+"="+role, benchCarrier+"="+carrier, benchFolder+"="+folder)
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
	return &benchChild{in, bufio.NewReader(out)}
}

func (c *benchChild) expect(b testing.TB, want string) {
	b.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, want, strings.TrimSpace(line))
}

func (c *benchChild) tell(b testing.TB, line string) {
	b.Helper()
	_, err := fmt.Fprintln(c.in, line)
	require.NoError(b, err)
}

var background = context.Background()
