package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMedian(t *testing.T) {
	for _, row := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{5}, 5},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 100}, 3.5},
	} {
		before := append([]float64(nil), row.values...)
		assert.Equal(t, row.want, median(row.values))
		assert.Equal(t, before, row.values)
	}
	assert.True(t, math.IsNaN(median(nil)))
}

func TestRatioIsOfTurns(t *testing.T) {
	// The machine was slow in the second turn, for both.
	value, base := []float64{40, 4, 44}, []float64{10, 1, 10}
	assert.Equal(t, 4.0, ratio(value, base, false))
	assert.Equal(t, 0.25, ratio(value, base, true))
	assert.Equal(t, 4.0, ratio(value[:1], base, false), "turns without a partner do not count")
	assert.True(t, math.IsNaN(ratio(nil, base, false)))
}

func TestMeasurementInUnits(t *testing.T) {
	m := measurement{Messages: 4_000_000, Bytes: 256_000_000, Elapsed: 2 * time.Second, Median: 1500 * time.Nanosecond}
	for u, want := range map[unit]float64{
		thousandPerSecond: 2000, perSecond: 2_000_000, megabytes: 128, meanMicros: 0.5, medianMicros: 1.5,
	} {
		assert.InDelta(t, want, m.in(u), 1e-9, u)
	}
}

func TestMeasurementsOfProcessesAdd(t *testing.T) {
	m := measurement{Messages: 1, Bytes: 10, Sent: 2, Elapsed: 3 * time.Second, Median: 1}
	m.add(measurement{Messages: 5, Bytes: 50, Sent: 6, Elapsed: time.Second, Median: 9})
	assert.Equal(t, measurement{Messages: 6, Bytes: 60, Sent: 8, Elapsed: 3 * time.Second, Median: 9}, m)
}

func TestSharesAddUp(t *testing.T) {
	for total := 1; total <= 65; total++ {
		n := workload{Conns: total}.processes()
		sum := 0
		for i := range n {
			one := share(total, n, i)
			assert.Positive(t, one)
			sum += one
		}
		assert.Equal(t, total, sum)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0.384: "0.38", 1: "1.00", 9.994: "9.99", 9.996: "10.0", 12.34: "12.3", 99.96: "100", 999.6: "1,000",
		1234567: "1,234,567", math.NaN(): "–",
	} {
		assert.Equal(t, want, number(v))
	}
}
