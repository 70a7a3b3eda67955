package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// someResults have every kind of figure, and signs of XML in a name.
func someResults() results {
	around := func(v float64) summary { return summary{v, v * 0.9, v * 1.1} }
	return results{
		Peers:    []bar{{"plain", false, around(1)}, {"gateway <a & \"b\">", true, around(0.98)}},
		Refusals: []bar{{"respond 429", false, around(60_000)}},
		Tenants:  []line{{"uniform", []point{{10, around(1)}, {1_000_000, around(0.97)}}}, {"Zipf", []point{{10, around(1)}, {1_000_000, around(1.01)}}}},
		Cores:    []line{{"gateway", []point{{1, around(12_000)}, {2, around(24_000)}, {4, around(40_000)}}}}, CoresAxis: "cores",
	}
}

// elements reads a drawing to its end, and counts what is in it.
func elements(t *testing.T, drawing []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	decoder := xml.NewDecoder(bytes.NewReader(drawing))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("the drawing is not well-formed: %v\n%s", err, drawing)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

// The plot is well-formed, whatever is in the names; it has a bar for each peer, a dot for each point, and says what it is.
func TestPlot(t *testing.T) {
	drawing, err := someResults().svg()
	if err != nil {
		t.Fatal(err)
	}
	count := elements(t, drawing)
	if count["svg"] != 1 || count["rect"] != 1+3 || count["circle"] != 7 || count["path"] != 2*3 {
		t.Errorf("elements %v", count)
	}
	for _, part := range []string{
		"gateway &lt;a &amp; &#34;b&#34;&gt;", "prefers-color-scheme: dark", "requests per second", "1,000,000", "budget 0.95", "0.98×",
	} {
		if !bytes.Contains(drawing, []byte(part)) {
			t.Errorf("the drawing lacks %q", part)
		}
	}
}

// A run of some scenarios gives a plot of these.
func TestPlotOfParts(t *testing.T) {
	for _, r := range []results{{}, {Peers: someResults().Peers}, {Cores: someResults().Cores}} {
		drawing, err := r.svg()
		if err != nil {
			t.Fatal(err)
		}
		if count := elements(t, drawing); count["circle"] != 3*len(r.Cores) {
			t.Errorf("elements %v", count)
		}
		if bytes.Contains(drawing, []byte("NaN")) || bytes.Contains(drawing, []byte("Inf")) {
			t.Errorf("a place is no number:\n%s", drawing)
		}
	}
}

// Marks are as many as asked for or thereabouts, a whole step apart, and enclose what they are for.
func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		n         int
		want      []float64
	}{
		{0, 4.9, 5, []float64{0, 1, 2, 3, 4, 5}},
		{0, 5, 5, []float64{0, 1, 2, 3, 4, 5}},
		{0, 143_000, 3, []float64{0, 50_000, 100_000, 150_000}},
		{3, 3, 1, []float64{3, 4}},
	} {
		if got := ticks(tt.low, tt.high, tt.n); !slices.Equal(got, tt.want) {
			t.Errorf("ticks(%v, %v, %d) = %v, want %v", tt.low, tt.high, tt.n, got, tt.want)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		low := random.NormFloat64() * math.Pow(10, float64(random.IntN(8)-2))
		high := low + random.ExpFloat64()*math.Pow(10, float64(random.IntN(8)-2)) + 1e-6
		n := 1 + random.IntN(9)
		got := ticks(low, high, n)
		step := got[1] - got[0]
		if got[0] > low+step*1e-6 || got[len(got)-1] < high-step*1e-6 || len(got) > n+3 || got[0] < low-step || got[len(got)-1] > high+step {
			t.Fatalf("ticks(%v, %v, %d) = %v", low, high, n, got)
		}
	}
}

// The ends of a scale are where they are said to be, and the middle is in the middle: of the logarithms where it is one.
func TestScale(t *testing.T) {
	plain := scale{From: 0, To: 10, Start: 100, End: 200}
	log := scale{From: 10, To: 1_000_000, Start: 300, End: 100, Log: true}
	one := scale{From: 2, To: 2, Start: 7, End: 9}
	for _, tt := range []struct {
		s       scale
		v, want float64
	}{{plain, 0, 100}, {plain, 10, 200}, {plain, 5, 150}, {plain, 20, 300}, {log, 10, 300}, {log, 1_000_000, 100}, {log, 1000, 220}, {one, 2, 7}} {
		if got := tt.s.at(tt.v); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%+v at %v: %v, want %v", tt.s, tt.v, got, tt.want)
		}
	}
}

// Figures are short, and mean what they say.
func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.955: "0.955", 0.9999: "1", 12.5: "12.5", 12_000: "12k", 120_560: "120.56k", 1_500_000: "1.5M", -3: "-3"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 100_000: "100,000", 1_000_007: "1,000,007"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

// The page and the plot are written together, and the page says how it was made before it says what came of it.
func TestWriteResults(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	b := &bench{options: options{Results: dir}, report: &report{out: io.Discard}, results: someResults()}
	b.report.section("Peers", "What is compared.")
	b.report.budget("gateway ÷ plain: 0.98", true)
	if err := b.writeResults([]string{"nginx 1.22.1", "Linux"}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, part := range []string{
		"# Results", "](results.svg)", "- nginx 1.22.1\n- Linux\n", "## Budgets", "- gateway ÷ plain: 0.98: met\n", "## Peers\n\nWhat is compared.\n",
	} {
		i := strings.Index(string(page), part)
		if i <= at {
			t.Errorf("%q is at %d, after %d:\n%s", part, i, at, page)
		}
		at = i
	}
	drawing, err := os.ReadFile(filepath.Join(dir, "results.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if count := elements(t, drawing); count["svg"] != 1 {
		t.Errorf("elements %v", count)
	}
}
