package main

import (
	"math"
	"slices"
)

// median returns the middle of some numbers, the mean of the two in the middle
// if their number is even, NaN if there are none. It leaves them as they are.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// ratio is by how much value is better than base: 2 is twice as good, in units
// of which fewer are better too. It is the median of the ratios of each turn, so
// that what slows both in one turn does not count.
func ratio(value, base []float64, fewer bool) float64 {
	n := min(len(value), len(base))
	ratios := make([]float64, 0, n)
	for i := range n {
		if fewer {
			ratios = append(ratios, base[i]/value[i])
		} else {
			ratios = append(ratios, value[i]/base[i])
		}
	}
	return median(ratios)
}
