package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The median is the middle value of an odd number of rounds, the mean of the middle two of an even number, and
// never changes the order of what it is given, because rounds are paired by position.
func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{2, 2, 2, 100}, 2},
	} {
		before := slices.Clone(tt.values)
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
		if !slices.Equal(before, tt.values) {
			t.Errorf("median changed %v to %v", before, tt.values)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median(nil) = %v, want NaN", got)
	}
}

// Half of the values lie on either side of the median, and none outside of the extremes, whatever the values are.
func TestSummarizeHoldsForAnyValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		values := make([]float64, 1+random.IntN(20))
		for i := range values {
			values[i] = math.Round(random.NormFloat64() * 5)
		}
		s := summarize(values)
		below, above := 0, 0
		for _, v := range values {
			if v < s.Min || v > s.Max {
				t.Fatalf("%v is outside of %+v", v, s)
			}
			if v < s.Median {
				below++
			}
			if v > s.Median {
				above++
			}
		}
		if below > len(values)/2 || above > len(values)/2 {
			t.Fatalf("%d below and %d above the median %v of %v", below, above, s.Median, values)
		}
	}
}

// A percentile is a value that was measured, by nearest rank.
func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tt := range []struct {
		sorted []int
		p      float64
		want   int
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{[]int{7}, 99, 7},
		{[]int{1, 2}, 50, 1},
		{[]int{1, 2}, 51, 2},
		{nil, 50, 0},
	} {
		if got := percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("percentile(%d values, %v) = %d, want %d", len(tt.sorted), tt.p, got, tt.want)
		}
	}
}

// Ratios are taken within a round: a machine that becomes three times slower in the middle of a run changes none.
func TestPairedRatiosIgnoreDrift(t *testing.T) {
	plain := []float64{30000, 29000, 10000, 9000}
	gateway := make([]float64, len(plain))
	for i, v := range plain {
		gateway[i] = v * 0.98
	}
	s := summarize(pairedRatios(gateway, plain))
	for _, v := range []float64{s.Median, s.Min, s.Max} {
		if math.Abs(v-0.98) > 1e-9 {
			t.Errorf("ratios %+v, want 0.98 throughout", s)
		}
	}
	if got := pairedRatios([]float64{1, 2, 3}, []float64{4}); len(got) != 1 || got[0] != 0.25 {
		t.Errorf("ratios of unequal lengths: %v, want [0.25]", got)
	}
}
