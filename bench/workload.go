package main

import (
	"fmt"
	"time"
)

// kind is what a workload does.
type kind string

// The kinds.
const (
	oneWay  kind = "one-way"
	trips   kind = "round trip"
	connect kind = "connections"
)

// workload is a row of the table.
type workload struct {
	Name  string
	Kind  kind
	Size  int // of a message, in bytes
	Conns int // clients at a time
	Count int // messages for each client; 0: as many as go in the duration
	Unit  unit
}

// unit says what is shown of a workload.
type unit string

// The units. Of microseconds fewer are better.
const (
	thousandPerSecond unit = "k msg/s"
	perSecond         unit = "per second"
	megabytes         unit = "MB/s"
	meanMicros        unit = "µs mean"
	medianMicros      unit = "µs p50"
)

// fewer reports whether less of it is better.
func (u unit) fewer() bool { return u == meanMicros || u == medianMicros }

// processes is how many processes the clients of a workload are spread over:
// one each up to four, so that the machine's cores and not its scheduler are
// what is measured.
func (w workload) processes() int { return min(w.Conns, 4) }

// fits reports whether a contender can run the workload.
func (w workload) fits(c contender) bool { return c.largest == 0 || w.Size <= c.largest }

// suite is the table for comparison with other ways.
func suite() []workload {
	rows := []workload{
		{Name: "one-way 64 B", Kind: oneWay, Size: 64, Conns: 1, Unit: thousandPerSecond},
		{Name: "one-way 1 KiB", Kind: oneWay, Size: 1 << 10, Conns: 1, Unit: thousandPerSecond},
		{Name: "one-way 64 KiB", Kind: oneWay, Size: 64 << 10, Conns: 1, Unit: megabytes},
		{Name: "one-way 1 MiB", Kind: oneWay, Size: 1 << 20, Conns: 1, Unit: megabytes},
		{Name: "one-way 10 MiB", Kind: oneWay, Size: 10 << 20, Conns: 1, Unit: megabytes},
		{Name: "round trip 64 B, mean", Kind: trips, Size: 64, Conns: 1, Unit: meanMicros},
		{Name: "round trip 64 B, p50", Kind: trips, Size: 64, Conns: 1, Unit: medianMicros},
	}
	for _, n := range []int{1, 8, 64} {
		rows = append(rows, workload{
			Name: fmt.Sprintf("fan-in %d, 64 B", n), Kind: oneWay, Size: 64, Conns: n, Unit: thousandPerSecond,
		})
	}
	return append(rows, workload{Name: "connections", Kind: connect, Size: 64, Conns: 1, Unit: perSecond})
}

// shortString is the size in bytes of MachIPC's "short string".
const shortString = 16

// machIPC is the list of the Swift library MachIPC, with its counts.
func machIPC() []workload {
	return []workload{
		{Name: "short strings × 1,000,000", Kind: oneWay, Size: shortString, Conns: 1, Count: 1_000_000, Unit: thousandPerSecond},
		{Name: "short strings × 500,000", Kind: oneWay, Size: shortString, Conns: 1, Count: 500_000, Unit: thousandPerSecond},
		{Name: "1 KiB × 100,000", Kind: oneWay, Size: 1 << 10, Conns: 1, Count: 100_000, Unit: thousandPerSecond},
		{Name: "64 KiB × 10,000", Kind: oneWay, Size: 64 << 10, Conns: 1, Count: 10_000, Unit: thousandPerSecond},
		{Name: "10 MiB × 1,000", Kind: oneWay, Size: 10 << 20, Conns: 1, Count: 1_000, Unit: megabytes},
		{Name: "512 B × 25,000", Kind: oneWay, Size: 512, Conns: 1, Count: 25_000, Unit: thousandPerSecond},
		{Name: "latency × 10,000", Kind: trips, Size: 64, Conns: 1, Count: 10_000, Unit: meanMicros},
	}
}

// measurement is what the clients of one process, or of all, have done.
type measurement struct {
	Messages uint64 // sent; of connections: made
	Bytes    uint64
	Elapsed  time.Duration // until the last was known to have arrived
	Median   time.Duration // of a round trip
	Sent     uint64        // all that the server must have received
}

// add adds those of another process, which ran at the same time.
func (m *measurement) add(o measurement) {
	m.Messages += o.Messages
	m.Bytes += o.Bytes
	m.Sent += o.Sent
	m.Elapsed = max(m.Elapsed, o.Elapsed)
	m.Median = max(m.Median, o.Median)
}

// in returns the measurement as a number.
func (m measurement) in(u unit) float64 {
	s := m.Elapsed.Seconds()
	switch u {
	case thousandPerSecond:
		return float64(m.Messages) / s / 1e3
	case perSecond:
		return float64(m.Messages) / s
	case megabytes:
		return float64(m.Bytes) / s / 1e6
	case meanMicros:
		return s * 1e6 / float64(m.Messages)
	case medianMicros:
		return float64(m.Median.Nanoseconds()) / 1e3
	}
	panic("unknown unit " + string(u))
}
