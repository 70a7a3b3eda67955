package main

import (
	"math"
	"time"
)

// series is a measure over the time of a run.
type series struct {
	at     []time.Duration // since the run began
	values []float64
}

func (s *series) add(at time.Duration, value float64) {
	s.at = append(s.at, at)
	s.values = append(s.values, value)
}

// after returns the part of a series from a time on.
func (s *series) after(from time.Duration) *series {
	for i, at := range s.at {
		if at >= from {
			return &series{s.at[i:], s.values[i:]}
		}
	}
	return &series{}
}

// line is value = base + slope × hours since the run began.
type line struct{ base, slope float64 }

// fit returns the straight line with the least squares of distances, and false where two different times at least are
// missing.
func (s *series) fit() (line, bool) {
	n := float64(len(s.at))
	if n < 2 {
		return line{}, false
	}
	var meanX, meanY float64
	for i, at := range s.at {
		meanX += at.Hours() / n
		meanY += s.values[i] / n
	}
	var xx, xy float64
	for i, at := range s.at {
		x := at.Hours() - meanX
		xx += x * x
		xy += x * (s.values[i] - meanY)
	}
	if xx == 0 {
		return line{}, false
	}
	slope := xy / xx
	return line{base: meanY - slope*meanX, slope: slope}, true
}

// at is the line's value at a time.
func (l line) at(t time.Duration) float64 { return l.base + l.slope*t.Hours() }

// bounds returns the least and the greatest value; zeros for an empty series.
func (s *series) bounds() (low, high float64) {
	if len(s.values) == 0 {
		return 0, 0
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range s.values {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// measure is what is watched of a gateway.
type measure struct {
	name, unit string
	// most is the growth per hour that still counts as flat; 0: it is only shown.
	most float64
}

// The measures, in the order of [sample.gateways]'s values. The bounds were set before the first run. Memory is in MiB.
var measures = []measure{
	{"resident memory", "MiB", 24},
	{"live heap", "MiB", 4},
	{"goroutines", "", 0}, // see atRest
	{"file descriptors", "", 0},
	{"cached tenants and keys", "", 0},
	{"remembered unknown names", "", 0},
}

// growth is what a series did over the last three quarters of a run.
type growth struct {
	measure
	gateway     int
	first       float64 // the line's value after the first quarter
	last        float64 // and at the end
	slope       float64 // per hour
	high        float64 // the greatest value of the whole run
	known, flat bool
}

// grow fits the last three quarters of a series.
func grow(m measure, gateway int, s *series, took time.Duration) growth {
	l, ok := s.after(took / 4).fit()
	_, high := s.bounds()
	return growth{
		measure: m, gateway: gateway, first: l.at(took / 4), last: l.at(took), slope: l.slope, high: high,
		known: ok, flat: ok && (m.most == 0 || l.slope < m.most),
	}
}
