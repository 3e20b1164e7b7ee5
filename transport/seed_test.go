package transport_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/transport"
)

// seedVariable set to "full" has TestSeedList send as many messages as the Swift
// library MachIPC, whose list it is; otherwise it sends a part of them.
const seedVariable = "SEALPORT_SEED"

const (
	seedPart      = 20
	seedPartShort = 200
)

// seedList has the tests and benchmarks of MachIPC, there within one process.
var seedList = []struct {
	name  string
	count int
	run   func(t *testing.T, count int) (bytes int, took time.Duration)
}{
	{"short strings × 1,000,000", 1_000_000, seedStrings},
	{"short strings × 500,000", 500_000, seedStrings},
	{"1 KiB × 100,000", 100_000, seedBytes(1 << 10)},
	{"64 KiB × 10,000", 10_000, seedBytes(64 << 10)},
	{"10 MiB × 1,000", 1_000, seedBytes(10 << 20)},
	{"512 B × 25,000", 25_000, seedBytes(512)},
	{"latency × 10,000", 10_000, seedLatency},
}

// TestSeedList: in two processes, everything arrives, and the log says how fast.
func TestSeedList(t *testing.T) {
	part := seedPart
	switch {
	case os.Getenv(seedVariable) == "full":
		part = 1
	case testing.Short():
		part = seedPartShort
	}
	for _, row := range seedList {
		t.Run(row.name, func(t *testing.T) {
			count := row.count / part
			bytes, took := row.run(t, count)
			t.Logf("%d in %v: %.0f/s, %.1f µs each, %.1f MB/s", count, took.Round(time.Millisecond),
				float64(count)/took.Seconds(), took.Seconds()*1e6/float64(count), float64(bytes)/took.Seconds()/1e6)
		})
	}
}

// seedStrings sends numbered strings.
func seedStrings(t *testing.T, count int) (bytes int, took time.Duration) {
	c := seedClient[string](t, "seed strings")
	begin := time.Now()
	for i := range count {
		s := fmt.Sprintf("message %d", i)
		bytes += len(s)
		require.NoError(t, c.Send(t.Context(), s))
	}
	seedReceived(t, c, "", count, bytes)
	return bytes, time.Since(begin)
}

// seedBytes sends messages of one size, each with another first byte.
func seedBytes(size int) func(*testing.T, int) (int, time.Duration) {
	return func(t *testing.T, count int) (bytes int, took time.Duration) {
		c := seedClient[[]byte](t, "seed bytes")
		p := make([]byte, size)
		begin := time.Now()
		for i := range count {
			p[0] = byte(i)
			require.NoError(t, c.Send(t.Context(), p))
		}
		seedReceived(t, c, nil, count, count*size)
		return count * size, time.Since(begin)
	}
}

// seedLatency asks and waits for the answer.
func seedLatency(t *testing.T, count int) (bytes int, took time.Duration) {
	c := seedClient[[]byte](t, "seed bytes")
	begin := time.Now()
	for range count {
		require.NoError(t, c.Send(t.Context(), nil))
		_, err := c.Receive(t.Context())
		require.NoError(t, err)
	}
	return 0, time.Since(begin)
}

// seedReceived asks the host what it has received.
func seedReceived[T string | []byte](t *testing.T, c *transport.Client[T], question T, count, bytes int) {
	t.Helper()
	require.NoError(t, c.Send(t.Context(), question))
	answer, err := c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, seedAnswer(count, bytes, count), string(answer))
}

func seedAnswer(count, bytes, ordered int) string {
	return fmt.Sprintf("%d messages, %d bytes, %d in order", count, bytes, ordered)
}

// seedClient starts a host in another process and connects to it.
func seedClient[T string | []byte](t *testing.T, role string) *transport.Client[T] {
	t.Helper()
	folder := benchPlace(t)
	startBench(t, role, "", folder).expect(t, "ready")
	endpoint, cfg := benchConfig(folder)
	c, err := transport.NewClient[T](t.Context(), endpoint, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// seedHost is the other process: it answers empty messages with what came
// before, until its standard input ends.
func seedHost(role, folder string) {
	if role == "seed strings" {
		serveSeed(folder, func(s string, i int) bool { return s == fmt.Sprintf("message %d", i) })
	} else {
		serveSeed(folder, func(p []byte, i int) bool { return p[0] == byte(i) })
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func serveSeed[T string | []byte](folder string, isNext func(T, int) bool) {
	endpoint, cfg := benchConfig(folder)
	var count, bytes, ordered int
	_, err := transport.NewHost(endpoint, func(_ context.Context, m transport.Message[T]) {
		if len(m.Body) == 0 {
			check(m.Reply(context.Background(), T(seedAnswer(count, bytes, ordered))))
			return
		}
		if isNext(m.Body, count) {
			ordered++
		}
		count++
		bytes += len(m.Body)
	}, cfg)
	check(err)
}

func isSeedRole(role string) bool { return strings.HasPrefix(role, "seed ") }
