package main

import (
	"math"
	"slices"
)

// summary is the median of some figures with their extremes.
type summary struct {
	Median, Min, Max float64
}

// summarize returns the summary of values; all NaN when there are none.
func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{math.NaN(), math.NaN(), math.NaN()}
	}
	return summary{median(values), slices.Min(values), slices.Max(values)}
}

// median returns the middle value, or the mean of the two in the middle; NaN of nothing. It leaves values as they are.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// percentile returns the smallest value that at least p percent of the sorted values do not exceed (nearest rank);
// the zero value of nothing.
func percentile[T any](sorted []T, p float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// pairedRatios divides over by under round by round. Rounds are paired because the machine drifts: the quotient of
// two medians would compare slices that were taken minutes apart.
func pairedRatios(over, under []float64) []float64 {
	ratios := make([]float64, min(len(over), len(under)))
	for i := range ratios {
		ratios[i] = over[i] / under[i]
	}
	return ratios
}
