package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is a Markdown table; all columns but the first are aligned to the right.
type table struct {
	Header []string
	Rows   [][]string
}

// write prints the table with its columns padded, so that it also reads well as text.
func (t table) write(w io.Writer) error {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("| " + cell + pad + " |")
			} else {
				b.WriteString(" " + pad + cell + " |")
			}
		}
		b.WriteByte('\n')
	}
	line(t.Header)
	b.WriteString("| " + strings.Repeat("-", widths[0]) + " |")
	for _, width := range widths[1:] {
		b.WriteString(" " + strings.Repeat("-", width-1) + ": |")
	}
	b.WriteByte('\n')
	for _, row := range t.Rows {
		line(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// column takes one figure of each sample.
func column(samples []sample, figure func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return values
}

// resultTable shows the candidates, with the ratio of each to the first.
func resultTable(candidates []candidate, samples [][]sample) table {
	t := table{Header: []string{
		"candidate", "requests/s", "min to max", "p50 ms", "p99 ms", "cores busy", "RSS MiB", "CPU µs/request",
		"CPU ÷ first", "requests ÷ first", "min to max",
	}}
	for i, c := range candidates {
		rate := summarize(column(samples[i], sample.rate))
		ratio := summarize(pairedRatios(column(samples[i], sample.rate), column(samples[0], sample.rate)))
		cost := pairedRatios(column(samples[i], sample.cpuPerRequest), column(samples[0], sample.cpuPerRequest))
		middle := func(figure func(sample) float64) float64 { return median(column(samples[i], figure)) }
		t.Rows = append(t.Rows, []string{
			c.Name,
			fmt.Sprintf("%.0f", rate.Median),
			fmt.Sprintf("%.0f to %.0f", rate.Min, rate.Max),
			fmt.Sprintf("%.2f", middle(func(s sample) float64 { return float64(s.P50Micros) / 1e3 })),
			fmt.Sprintf("%.2f", middle(func(s sample) float64 { return float64(s.P99Micros) / 1e3 })),
			fmt.Sprintf("%.2f", middle(sample.busy)),
			fmt.Sprintf("%.0f", middle(func(s sample) float64 { return float64(s.RSS) / (1 << 20) })),
			fmt.Sprintf("%.1f", middle(sample.cpuPerRequest)),
			fmt.Sprintf("%.3f", median(cost)),
			fmt.Sprintf("%.3f", ratio.Median),
			fmt.Sprintf("%.2f to %.2f", ratio.Min, ratio.Max),
		})
	}
	return t
}
