package main

import (
	"fmt"
	"math"
)

const (
	plotWidth = 900.0
	// barHeight is what a bar takes, with its distance to the next.
	barHeight = 26.0
	// lineHeight is the height of the part with curves.
	lineHeight = 300.0
	// plotLeft and plotRight are where axes begin and end.
	plotLeft, plotRight = 270.0, 800.0
)

// svg draws all results, one part below the other.
func (r results) svg() ([]byte, error) {
	var s svg
	y := 34.0
	s.text(24, y, "title", "start", "Tenantgate against what people use instead")
	y += 34
	if len(r.Peers) > 0 {
		y = drawBars(&s, y, r.Peers, barText{
			Title: "Throughput", Axis: "requests per second ÷ plain reverse_proxy of the same binary (line: lowest to highest round)",
			Suffix: "×",
		})
	}
	if len(r.Refusals) > 0 {
		y = drawBars(&s, y, r.Refusals, barText{Title: "Refusals", Axis: "refusals per second (line: lowest to highest round)"})
	}
	if len(r.Tenants) > 0 {
		y = drawLines(&s, y, r.Tenants, lineText{
			Title: "Many tenants", X: "tenants in the registry and the cache (logarithmic)", Y: "requests/s ÷ with the fewest",
			Log: true, Budget: 0.95, First: 1,
		})
	}
	if len(r.Cores) > 0 {
		y = drawLines(&s, y, r.Cores, lineText{Title: "Cores", X: r.CoresAxis, Y: "requests per second", Zero: true})
	}
	return s.document(plotWidth, y, "Results of the benchmark of Tenantgate"), nil
}

// barText is what is written beside bars.
type barText struct {
	Title, Axis, Suffix string
}

// drawBars draws a part with bars from y on, and returns where the next begins.
func drawBars(s *svg, y float64, bars []bar, words barText) float64 {
	s.text(24, y, "title", "start", words.Title)
	top := y + 16
	bottom := top + barHeight*float64(len(bars))
	most := 0.0
	for _, b := range bars {
		most = math.Max(most, b.Value.Max)
	}
	marks := ticks(0, most, 6)
	x := scale{From: 0, To: marks[len(marks)-1], Start: plotLeft, End: plotRight}
	for _, mark := range marks {
		s.line(x.at(mark), top, x.at(mark), bottom, "grid")
		s.text(x.at(mark), bottom+17, "small", "middle", number(mark))
	}
	s.line(plotLeft, top, plotLeft, bottom, "axis")
	for i, b := range bars {
		middle := top + barHeight*(float64(i)+0.5)
		s.text(plotLeft-8, middle+4.5, "", "end", b.Label)
		s.rect(plotLeft, middle-8, x.at(b.Value.Median)-plotLeft, 16, className(b.Ours))
		s.line(x.at(b.Value.Min), middle, x.at(b.Value.Max), middle, "spread")
		s.text(x.at(math.Max(b.Value.Max, b.Value.Median))+7, middle+4.5, "", "start", number(round2(b.Value.Median))+words.Suffix)
	}
	s.text((plotLeft+plotRight)/2, bottom+36, "small", "middle", words.Axis)
	return bottom + 78
}

// lineText is what is written beside curves, and how they are drawn.
type lineText struct {
	Title, X, Y string
	// Log is true for an axis of tenants, Zero for one that begins with 0.
	Log, Zero bool
	// First is the number of the first line's colour.
	First int
	// Budget is a line that must not be crossed downwards; 0 means none.
	Budget float64
}

// drawLines draws a part with curves from y on, and returns where the next begins.
func drawLines(s *svg, y float64, lines []line, words lineText) float64 {
	s.text(24, y, "title", "start", words.Title)
	const left, right = 90.0, 640.0
	top, bottom := y+20, y+20+lineHeight
	lowX, highX, lowY, highY := bounds(lines)
	if words.Budget > 0 {
		lowY, highY = math.Min(lowY, words.Budget), math.Max(highY, words.Budget)
	}
	if words.Zero {
		lowY = 0
	}
	marks := ticks(lowY, highY, 6)
	v := scale{From: marks[0], To: marks[len(marks)-1], Start: bottom, End: top}
	h := scale{From: lowX, To: highX, Start: left, End: right, Log: words.Log}
	for _, mark := range marks {
		s.line(left, v.at(mark), right, v.at(mark), "grid")
		s.text(left-8, v.at(mark)+4, "small", "end", number(mark))
	}
	for _, p := range lines[0].Points {
		s.line(h.at(p.X), bottom, h.at(p.X), bottom+5, "axis")
		s.text(h.at(p.X), bottom+20, "small", "middle", thousands(int(p.X)))
	}
	s.line(left, bottom, right, bottom, "axis")
	s.line(left, top, left, bottom, "axis")
	s.text((left+right)/2, bottom+40, "small", "middle", words.X)
	s.upright(34, (top+bottom)/2, "small", words.Y)
	if words.Budget > 0 {
		s.line(left, v.at(words.Budget), right, v.at(words.Budget), "budget")
		s.text(right+10, v.at(words.Budget)+4, "small", "start", "budget "+number(words.Budget))
	}
	for i, l := range lines {
		drawCurve(s, h, v, l, lineClass(words.First+i))
		at := top + 14 + 22*float64(i)
		s.path([]float64{right + 40, at - 4, right + 70, at - 4}, lineClass(words.First+i))
		s.text(right+78, at, "", "start", l.Label)
	}
	return bottom + 82
}

// drawCurve draws one line with its points and their spread.
func drawCurve(s *svg, h, v scale, l line, class string) {
	var points []float64
	for _, p := range l.Points {
		points = append(points, h.at(p.X), v.at(p.Y.Median))
		s.line(h.at(p.X), v.at(p.Y.Min), h.at(p.X), v.at(p.Y.Max), class)
	}
	s.path(points, class)
	for i := 0; i < len(points); i += 2 {
		s.circle(points[i], points[i+1], 3.5, class)
	}
}

// bounds returns the least and the greatest of what the lines show.
func bounds(lines []line) (lowX, highX, lowY, highY float64) {
	lowX, lowY, highX, highY = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, l := range lines {
		for _, p := range l.Points {
			lowX, highX = math.Min(lowX, p.X), math.Max(highX, p.X)
			lowY, highY = math.Min(lowY, p.Y.Min), math.Max(highY, p.Y.Max)
		}
	}
	return lowX, highX, lowY, highY
}

// className returns the class of the gateway's, or of another's.
func className(ours bool) string {
	if ours {
		return "ours"
	}
	return "other"
}

// lineClass returns the class of the i-th colour of lines.
func lineClass(i int) string { return fmt.Sprintf("line%d", i%5) }

// round2 rounds small figures to two digits and great ones to three places.
func round2(v float64) float64 {
	if math.Abs(v) >= 1000 {
		return math.Round(v/100) * 100
	}
	return math.Round(v*100) / 100
}
