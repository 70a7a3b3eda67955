package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Promise: the straight line is that of the least squares: exact through points of a line, and through others as worked
// out by hand.
func TestFit(t *testing.T) {
	for name, tt := range map[string]struct {
		hours, values []float64
		base, slope   float64
		ok            bool
	}{
		"nothing":          {nil, nil, 0, 0, false},
		"one point":        {[]float64{1}, []float64{5}, 0, 0, false},
		"twice one time":   {[]float64{1, 1}, []float64{5, 6}, 0, 0, false},
		"flat":             {[]float64{0, 1, 2}, []float64{7, 7, 7}, 7, 0, true},
		"a line":           {[]float64{0.5, 1, 2}, []float64{4, 5, 7}, 3, 2, true},
		"down":             {[]float64{0, 2}, []float64{4, 0}, 4, -2, true},
		"not on one line":  {[]float64{0, 1, 2}, []float64{0, 0, 3}, -0.5, 1.5, true},
		"an uneven series": {[]float64{0, 1, 3}, []float64{1, 3, 2}, 12.0 / 7, 3.0 / 14, true},
	} {
		s := &series{}
		for i, h := range tt.hours {
			s.add(time.Duration(h*float64(time.Hour)), tt.values[i])
		}
		l, ok := s.fit()
		if ok != tt.ok || math.Abs(l.base-tt.base) > 1e-9 || math.Abs(l.slope-tt.slope) > 1e-9 {
			t.Errorf("%s: %+v, %t, want %v + %v × hours, %t", name, l, ok, tt.base, tt.slope, tt.ok)
		}
	}
}

// Promise: no other line is nearer to the points than the one that is found.
func TestFitIsLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := &series{}
		for range 2 + r.IntN(50) {
			s.add(time.Duration(r.Int64N(int64(time.Hour))), 1000*r.Float64())
		}
		best, ok := s.fit()
		if !ok {
			continue
		}
		squares := func(l line) (sum float64) {
			for i, at := range s.at {
				sum += math.Pow(s.values[i]-l.at(at), 2)
			}
			return sum
		}
		for range 20 {
			other := line{best.base + r.NormFloat64(), best.slope + r.NormFloat64()}
			if squares(other) < squares(best)*(1-1e-12) {
				t.Fatalf("%+v is nearer than %+v", other, best)
			}
		}
	}
}

// Promise: growth counts from a quarter of the run on: what is filled before is none, and what goes on growing is told.
func TestGrow(t *testing.T) {
	warm, leak := &series{}, &series{}
	for at := time.Duration(0); at <= time.Hour; at += 10 * time.Second {
		warm.add(at, 100+20*min(1, at.Minutes()/15))
		leak.add(at, 100+20*at.Hours())
	}
	m := measure{"memory", "MiB", 10}
	if g := grow(m, 0, warm, time.Hour); !g.flat || math.Abs(g.slope) > 0.01 || math.Abs(g.last-120) > 0.01 || g.high != 120 {
		t.Errorf("what is filled in the first quarter: %+v", g)
	}
	if g := grow(m, 1, leak, time.Hour); g.flat || math.Abs(g.slope-20) > 0.01 || math.Abs(g.first-105) > 0.01 || math.Abs(g.last-120) > 0.01 {
		t.Errorf("what grows by 20 an hour: %+v", g)
	}
	if g := grow(m, 0, &series{}, time.Hour); g.known || g.flat {
		t.Errorf("nothing: %+v", g)
	}
}

// Promise: a percentile is at most 5 % above the exact one, and never above the longest.
func TestHistogram(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := 1; i <= 10_000; i++ {
		h.add(time.Duration(i) * 20 * time.Microsecond)
	}
	for q, exact := range map[float64]time.Duration{0.5: 100 * time.Millisecond, 0.99: 198 * time.Millisecond, 1: 200 * time.Millisecond} {
		if got := h.quantile(q); got < exact || float64(got) > 1.05*float64(exact) || got > h.highest {
			t.Errorf("%v: %v, want %v", q, got, exact)
		}
	}
	h.add(24 * time.Hour)
	h.add(0)
	if h.highest != 24*time.Hour || h.n != 10_002 {
		t.Errorf("%d, longest %v", h.n, h.highest)
	}
}

func TestCeiling(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, -3: 1, 0.3: 0.4, 1: 1, 9: 10, 11: 20, 199: 200, 601: 800, 801: 1000} {
		if got := ceiling(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}
