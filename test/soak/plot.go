package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// The size of the picture and of one of its panels, in pixels.
const (
	plotWidth   = 860
	panelHeight = 150
	plotLeft    = 70
	plotRight   = 20
	plotTop     = 28
	plotBottom  = 22
)

// colours are those of the gateways' lines.
var colours = []string{"#0b6bcb", "#c2571a", "#2f8f4e", "#8a4fbf"}

// plot draws a panel for each measure, with a line for each gateway.
func plot(w io.Writer, m *samples, took time.Duration) error {
	var b strings.Builder
	height := len(measures) * (panelHeight + plotTop + plotBottom)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, height)
	for i, measure := range measures {
		list := make([]*series, len(m.gateways))
		for g := range m.gateways {
			list[g] = m.gateways[g][i]
		}
		panel(&b, i*(panelHeight+plotTop+plotBottom), measure, list, took)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel draws one measure below a height.
func panel(b *strings.Builder, above int, m measure, list []*series, took time.Duration) {
	high := 0.0
	for _, s := range list {
		_, most := s.bounds()
		high = max(high, most)
	}
	high = ceiling(high)
	top, bottom := float64(above+plotTop), float64(above+plotTop+panelHeight)
	x := func(at time.Duration) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*at.Seconds()/took.Seconds()
	}
	y := func(v float64) float64 { return bottom - panelHeight*v/high }
	title := m.name
	if m.unit != "" {
		title += ", " + m.unit
	}
	fmt.Fprintf(b, `<text x="%d" y="%.0f" font-weight="bold">%s</text>`+"\n", plotLeft, top-8, title)
	for g := range list {
		fmt.Fprintf(b, `<text x="%d" y="%.0f" fill="%s" text-anchor="end">gateway %d</text>`+"\n", plotWidth-plotRight-90*(len(list)-1-g), top-8, colours[g%len(colours)], g+1)
	}
	for part := range 5 {
		v := high * float64(part) / 4
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%s</text>`+"\n",
			plotLeft, y(v), plotWidth-plotRight, plotLeft-6, y(v)+4, number(v))
		at := took * time.Duration(part) / 4
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="#eee"/><text x="%.1f" y="%.1f" text-anchor="middle" fill="#555">%s</text>`+"\n",
			x(at), top, bottom, x(at), bottom+15, minutes(at))
	}
	for g, s := range list {
		var points strings.Builder
		for i, at := range s.at {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(min(at, took)), y(s.values[i]))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.4"/>`+"\n", strings.TrimSpace(points.String()), colours[g%len(colours)])
	}
}

// ceiling returns the next number above v that is 1, 2, 4, 6 or 8 times a power of ten.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 4, 6, 8} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}

// number writes a value with the decimals that it needs.
func number(v float64) string {
	if v != math.Trunc(v) && math.Abs(v) < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func minutes(d time.Duration) string {
	if d < 5*time.Minute && d > 0 {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}
