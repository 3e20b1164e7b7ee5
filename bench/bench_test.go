package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
)

// The processes of a measurement are this program again.
func TestMain(m *testing.M) {
	if text := os.Getenv(roleVariable); text != "" {
		if err := runJob(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	leaktest.Main(m)
}

// Every contender does every kind of work in processes of its own, and what was
// sent has arrived: measure compares that.
func TestEveryContenderCarriesEveryKind(t *testing.T) {
	for _, c := range contenders() {
		for _, w := range []workload{
			{Name: "timed", Kind: oneWay, Size: 64, Conns: 1, Unit: thousandPerSecond},
			{Name: "counted", Kind: oneWay, Size: 100_000, Conns: 1, Count: 50, Unit: megabytes},
			{Name: "larger than a frame", Kind: oneWay, Size: 3 << 20, Conns: 1, Count: 3, Unit: megabytes},
			{Name: "many clients", Kind: oneWay, Size: 1, Conns: 9, Count: 1000, Unit: thousandPerSecond},
			{Name: "trips", Kind: trips, Size: 64, Conns: 1, Count: 100, Unit: medianMicros},
			{Name: "connections", Kind: connect, Size: 64, Conns: 1, Unit: perSecond},
		} {
			if !w.fits(c) {
				continue
			}
			t.Run(c.name+"/"+w.Name, func(t *testing.T) {
				m, err := measure(c, w, time.Millisecond)
				require.NoError(t, err)
				assert.Positive(t, m.in(w.Unit))
				if w.Count > 0 {
					assert.EqualValues(t, w.Count*w.Conns, m.Messages)
					assert.EqualValues(t, w.Count*w.Conns*w.Size, m.Bytes)
				}
			})
		}
	}
}

// A loss must not look like speed.
func TestMeasureNoticesLoss(t *testing.T) {
	c, err := find(handWritten)
	require.NoError(t, err)
	w := workload{Name: "short of a clock", Kind: connect, Size: 64, Conns: 1, Unit: perSecond}
	dir := t.TempDir()
	j := job{Contender: c.name, Address: dir + "/bench", Workload: w, Duration: time.Millisecond, Serve: true}
	server, err := start(j)
	require.NoError(t, err)
	m, err := runProcesses(j, w)
	require.NoError(t, err)
	r, err := server.finish()
	require.NoError(t, err)
	require.NoError(t, compare(c, w, m, r))
	r.Received--
	require.ErrorIs(t, compare(c, w, m, r), errLost)
}

func TestCommandPrintsTable(t *testing.T) {
	var out, progress bytes.Buffer
	require.NoError(t, command([]string{"-rows", "^one-way 64 B", "-peers", "stream|ring", "-repetitions", "2", "-duration", "1ms"}, &out, &progress))
	text := out.String()
	assert.Contains(t, text, "one-way 64 B")
	assert.NotContains(t, text, "KiB")
	for _, name := range []string{"stream, flush", "stream, batch", "sealport ring"} {
		assert.Contains(t, text, name)
	}
	assert.NotContains(t, text, "seqpacket")
	assert.Equal(t, 2, strings.Count(text, "×"), "a ratio for each but the base")
	assert.Equal(t, 6, strings.Count(progress.String(), "\n"))
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-list", "other"}, {"-repetitions", "0"}, {"-duration", "-1s"}, {"-rows", "("}, {"-peers", "("},
		{"-rows", "no such row"}, {"-peers", "nobody"}, {"argument"}, {"-nonsense"},
	} {
		var out bytes.Buffer
		require.Error(t, command(args, &out, io.Discard), args)
		assert.Empty(t, out.String())
	}
}

func TestLists(t *testing.T) {
	seen := map[string]bool{}
	for name, list := range lists {
		for _, w := range list() {
			assert.False(t, seen[w.Name], "%s is in %s twice", w.Name, name)
			seen[w.Name] = true
			assert.Positive(t, w.Size)
			assert.Positive(t, w.Conns)
			assert.LessOrEqual(t, w.Size, largestMessage)
		}
	}
	assert.Len(t, suite(), 11)
	assert.Len(t, machIPC(), 7)
}

func TestMissingCellsAreDashes(t *testing.T) {
	c := contenders()
	tab := table{
		peers: c[:3],
		rows:  []workload{{Name: "row", Unit: megabytes}, {Name: "µ", Unit: meanMicros}},
		cells: [][]cell{{{100, 200, 300}, {400, 400, 400}, nil}, {{2, 4}, {1, 1}, {4, 8}}},
	}
	var out bytes.Buffer
	require.NoError(t, tab.write(&out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 4)
	assert.Regexp(t, regexp.MustCompile(`^\| row +\| MB/s +\| +200 \| +400 \(2\.00×\) \| +– \|$`), lines[2])
	assert.Regexp(t, regexp.MustCompile(`^\| µ +\| µs mean \| +3\.00 \| +1\.00 \(3\.00×\) \| +6\.00 \(0\.50×\) \|$`), lines[3])
	for _, line := range lines {
		assert.Equal(t, len([]rune(lines[0])), len([]rune(line)))
	}
}
