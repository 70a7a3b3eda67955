package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// svg is a drawing in the making.
type svg struct {
	body bytes.Buffer
}

// svgStyle is readable in light and dark: a viewer that knows of dark pages chooses, all others get the light colours.
const svgStyle = `
	text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f; }
	.title { font-size: 16px; font-weight: 600; }
	.small { font-size: 12px; fill: #57606a; }
	.page { fill: #ffffff; }
	.grid { stroke: #d8dee4; stroke-width: 1; }
	.axis { stroke: #57606a; stroke-width: 1; }
	.spread { stroke: #24292f; stroke-width: 1.5; }
	.budget { stroke: #b35900; stroke-width: 1.5; stroke-dasharray: 6 4; }
	.ours { fill: #1f6feb; stroke: #1f6feb; }
	.other { fill: #8c959f; stroke: #8c959f; }
	path { stroke-width: 2; }
	.line0 { stroke: #57606a; fill: #57606a; }
	.line1 { stroke: #1f6feb; fill: #1f6feb; }
	.line2 { stroke: #8250df; fill: #8250df; }
	.line3 { stroke: #1a7f37; fill: #1a7f37; }
	.line4 { stroke: #bc4c00; fill: #bc4c00; }
	@media (prefers-color-scheme: dark) {
		text { fill: #e6edf3; }
		.small { fill: #9da7b3; }
		.page { fill: #0d1117; }
		.grid { stroke: #30363d; }
		.axis { stroke: #9da7b3; }
		.spread { stroke: #e6edf3; }
		.budget { stroke: #f0a050; }
		.ours { fill: #58a6ff; stroke: #58a6ff; }
		.other { fill: #6e7681; stroke: #6e7681; }
		.line0 { stroke: #9da7b3; fill: #9da7b3; }
		.line1 { stroke: #58a6ff; fill: #58a6ff; }
		.line2 { stroke: #bc8cff; fill: #bc8cff; }
		.line3 { stroke: #56d364; fill: #56d364; }
		.line4 { stroke: #f0883e; fill: #f0883e; }
	}
`

// document returns the drawing as a file of its own.
func (s *svg) document(width, height float64, title string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img">`+"\n", width, height)
	fmt.Fprintf(&out, "<title>%s</title>\n<style>%s</style>\n", escape(title), svgStyle)
	fmt.Fprintf(&out, `<rect class="page" width="%g" height="%g"/>`+"\n", width, height)
	out.Write(s.body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// text writes words; anchor is start, middle or end.
func (s *svg) text(x, y float64, class, anchor, words string) {
	fmt.Fprintf(&s.body, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escape(words))
}

// upright writes words that run upwards, with their middle at x and y.
func (s *svg) upright(x, y float64, class, words string) {
	fmt.Fprintf(&s.body, `<text x="%.1f" y="%.1f" class="%s" text-anchor="middle" transform="rotate(-90 %.1f %.1f)">%s</text>`+"\n", x, y, class, x, y, escape(words))
}

// line draws a straight line.
func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&s.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// rect draws a rectangle.
func (s *svg) rect(x, y, width, height float64, class string) {
	fmt.Fprintf(&s.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`+"\n", x, y, width, height, class)
}

// circle draws a dot.
func (s *svg) circle(x, y, r float64, class string) {
	fmt.Fprintf(&s.body, `<circle cx="%.1f" cy="%.1f" r="%.1f" class="%s"/>`+"\n", x, y, r, class)
}

// path draws a line through points: x and y in turn.
func (s *svg) path(points []float64, class string) {
	var d strings.Builder
	for i := 0; i+1 < len(points); i += 2 {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", command, points[i], points[i+1])
	}
	fmt.Fprintf(&s.body, `<path d="%s" class="%s" style="fill:none"/>`+"\n", d.String(), class)
}

// escape makes text of what may hold signs of XML.
func escape(text string) string {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		return "" // a buffer takes everything
	}
	return out.String()
}
