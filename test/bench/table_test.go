package main

import (
	"strings"
	"testing"
	"time"
)

// The table is valid Markdown that reads well as text: padded by characters, not bytes.
func TestTableWrite(t *testing.T) {
	var out strings.Builder
	err := table{
		Header: []string{"name", "µs"},
		Rows:   [][]string{{"a", "1.0"}, {"längere", "12"}},
	}.write(&out)
	if err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"| name    |  µs |\n" +
		"| ------- | --: |\n" +
		"| a       | 1.0 |\n" +
		"| längere |  12 |\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// slicesOf makes samples of one second each that answered so many requests and used a core.
func slicesOf(requests ...int64) []sample {
	samples := make([]sample, len(requests))
	for i, n := range requests {
		samples[i] = sample{
			load:      load{Requests: n, DurationMicros: 1e6, P50Micros: 1500, P99Micros: 9000},
			ServerCPU: time.Second, RSS: 100 << 20,
		}
	}
	return samples
}

// The figures of a row are medians over its rounds, and its ratio is the median of the rounds' ratios to the first
// candidate: here the ratios are 0.5, 0.9 and 0.8, though the medians' quotient is 0.9.
func TestResultTable(t *testing.T) {
	candidates := []candidate{{Name: "plain"}, {Name: "gateway"}}
	samples := [][]sample{slicesOf(2000, 1000, 500), slicesOf(1000, 900, 400)}
	got := resultTable(candidates, samples)
	want := [][]string{
		{"plain", "1000", "500 to 2000", "1.50", "9.00", "1.00", "100", "1000.0", "1.000", "1.000", "1.00 to 1.00"},
		{"gateway", "900", "400 to 1000", "1.50", "9.00", "1.00", "100", "1111.1", "1.250", "0.800", "0.50 to 0.90"},
	}
	for i, row := range want {
		if strings.Join(got.Rows[i], "|") != strings.Join(row, "|") {
			t.Errorf("row %d\n got %q\nwant %q", i, got.Rows[i], row)
		}
		if len(row) != len(got.Header) {
			t.Errorf("%d cells under %d headings", len(row), len(got.Header))
		}
	}
}

// A budget that is missed is said and counted, one that is met is not counted.
func TestCompare(t *testing.T) {
	var out strings.Builder
	r := report{out: &out}
	candidates := []candidate{{Name: "plain"}, {Name: "gateway"}}
	samples := [][]sample{slicesOf(1000, 1000, 1000), slicesOf(980, 960, 950)}
	r.compare(candidates, samples, comparison{Over: 1, Under: 0, AtLeast: 0.96})
	r.compare(candidates, samples, comparison{Over: 1, Under: 0, AtLeast: 0.97})
	const want = "" +
		"- gateway ÷ plain: median 0.960 (0.95 to 0.98), budget at least 0.96: met\n" +
		"- gateway ÷ plain: median 0.960 (0.95 to 0.98), budget at least 0.97: **missed**\n"
	if out.String() != want || r.missed != 1 {
		t.Errorf("missed %d, want 1; got\n%swant\n%s", r.missed, out.String(), want)
	}
}

// Only servers that had cores to spare are noted: they were not what limited the slice.
func TestConditions(t *testing.T) {
	var out strings.Builder
	r := report{out: &out}
	candidates := []candidate{{Name: "plain"}, {Name: "gateway"}}
	samples := [][]sample{slicesOf(1000), slicesOf(980)}
	samples[0][0].ServerCPU, samples[0][0].Others = 2*time.Second, 0.5
	r.again = 3
	r.conditions(candidates, samples, 2)
	const want = "" +
		"- other work on the machine: 0.25 cores in the median slice (0.00 to 0.50)\n" +
		"- note: 3 slices were taken again, because requests had no answer within 10 s, or their connection was lost\n" +
		"- note: not all of their 2 cores were kept busy by gateway: upstream, wrk or other work held them up\n"
	if r.again != 0 {
		t.Errorf("the next table would say %d slices again", r.again)
	}
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// A budget of a peer that is not there is missed, not forgotten.
func TestCompareKeys(t *testing.T) {
	var out strings.Builder
	r := report{out: &out}
	candidates := []candidate{{Name: "plain"}, {Name: "gateway"}}
	samples := [][]sample{slicesOf(1000), slicesOf(980)}
	index := map[string]int{"plain": 0, "gateway": 1}
	r.compareKeys(candidates, samples, index, budget{"gateway", "plain", 0.97})
	r.compareKeys(candidates, samples, index, budget{"shipped-transport", "plain", 1.5})
	const want = "" +
		"- gateway ÷ plain: median 0.980 (0.98 to 0.98), budget at least 0.97: met\n" +
		"- shipped-transport ÷ plain: not measured, budget at least 1.50: **missed**\n"
	if out.String() != want || r.missed != 1 {
		t.Errorf("missed %d, want 1; got\n%swant\n%s", r.missed, out.String(), want)
	}
	if strings.Join(r.budgets, "") != want || r.sections.String() != want {
		t.Errorf("kept for the page: %q and %q", r.budgets, r.sections.String())
	}
}

// Each peer stands next to both of what it is compared with, and without a stock Caddy the columns are empty.
func TestPeerTable(t *testing.T) {
	candidates := []candidate{{Name: "plain"}, {Name: "stock"}, {Name: "gateway"}}
	samples := [][]sample{slicesOf(2000, 1000), slicesOf(1000, 1000), slicesOf(1500, 1500)}
	got := peerTable(candidates, samples, 1)
	const want = "gateway|1500|1.12|0.75 to 1.50|1.50|1.50 to 1.50|1.50|9.00|666.7|1.00|100"
	if row := strings.Join(got.Rows[2], "|"); row != want || len(got.Rows[2]) != len(got.Header) {
		t.Errorf("got  %s\nwant %s", row, want)
	}
	without := peerTable(candidates, samples, -1)
	if row := without.Rows[2]; row[4] != "" || row[5] != "" || len(row) != len(without.Header) {
		t.Errorf("without stock: %q", row)
	}
}
