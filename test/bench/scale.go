package main

import (
	"math"
	"strconv"
)

// scale leads from a figure to a place on the drawing.
type scale struct {
	// From and To are the figures at the ends, Start and End the places.
	From, To, Start, End float64
	// Log is true for a scale by the logarithm; From is then above 0.
	Log bool
}

// at returns the place of a figure. Figures beyond the ends have their places beyond the ends.
func (s scale) at(v float64) float64 {
	from, to := s.From, s.To
	if s.Log {
		from, to, v = math.Log(from), math.Log(to), math.Log(v)
	}
	if from == to {
		return s.Start
	}
	return s.Start + (v-from)/(to-from)*(s.End-s.Start)
}

// ticks returns round figures from low to high, the first not above low and the last not below high, about n steps apart:
// multiples of 1, 2 or 5 times a power of ten.
func ticks(low, high float64, n int) []float64 {
	if !(high > low) || math.IsInf(high-low, 0) {
		high = low + 1
	}
	rough := (high - low) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if step*factor >= rough*0.999 {
			step *= factor
			break
		}
	}
	var list []float64
	first := math.Floor(low/step + 1e-9)
	last := math.Ceil(high/step - 1e-9)
	for k := first; k <= last; k++ {
		list = append(list, k*step)
	}
	return list
}

// number writes a figure shortly: 12k for 12,000, and no more digits than it takes.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 1e6:
		return strconv.FormatFloat(math.Round(v/1e4)/100, 'f', -1, 64) + "M"
	case math.Abs(v) >= 1e3:
		return strconv.FormatFloat(math.Round(v/10)/100, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}
