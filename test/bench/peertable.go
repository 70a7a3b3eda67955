package main

import "fmt"

// peerTable shows the peers with their ratios to the first, plain reverse_proxy, and to the candidate of number stock;
// negative means that there is none.
func peerTable(candidates []candidate, samples [][]sample, stock int) table {
	t := table{Header: []string{
		"", "requests/s", "÷ plain", "min to max", "÷ stock Caddy", "min to max", "p50 ms", "p99 ms", "CPU µs/request", "cores busy", "RSS MiB",
	}}
	for i, c := range candidates {
		middle := func(figure func(sample) float64) float64 { return median(column(samples[i], figure)) }
		plain := ratioTo(samples[i], samples[0])
		row := []string{c.Name, fmt.Sprintf("%.0f", middle(sample.rate)), fmt.Sprintf("%.2f", plain.Median), spread(plain)}
		if stock < 0 {
			row = append(row, "", "")
		} else {
			s := ratioTo(samples[i], samples[stock])
			row = append(row, fmt.Sprintf("%.2f", s.Median), spread(s))
		}
		t.Rows = append(t.Rows, append(row,
			fmt.Sprintf("%.2f", middle(func(s sample) float64 { return float64(s.P50Micros) / 1e3 })),
			fmt.Sprintf("%.2f", middle(func(s sample) float64 { return float64(s.P99Micros) / 1e3 })),
			fmt.Sprintf("%.1f", middle(sample.cpuPerRequest)),
			fmt.Sprintf("%.2f", middle(sample.busy)),
			fmt.Sprintf("%.0f", middle(func(s sample) float64 { return float64(s.RSS) / (1 << 20) })),
		))
	}
	return t
}

// spread is the lowest and the highest of some figures.
func spread(s summary) string { return fmt.Sprintf("%.2f to %.2f", s.Min, s.Max) }
