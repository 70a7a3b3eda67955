package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// read gives back the draws of a file.
func readDraws(t *testing.T, file []byte) []int {
	t.Helper()
	if len(file)%3 != 0 {
		t.Fatalf("%d bytes are no whole draws", len(file))
	}
	var list []int
	for d := range slices.Chunk(file, 3) {
		list = append(list, int(d[0])<<16|int(d[1])<<8|int(d[2]))
	}
	return list
}

// What is written for wrk is what was drawn, up to the greatest number that three bytes hold.
func TestWriteDraws(t *testing.T) {
	want := []int{0, 1, 255, 256, 65_535, 65_536, 999_999, 1<<24 - 1}
	var file bytes.Buffer
	at := 0
	if err := writeDraws(&file, len(want), func() int { at++; return want[at-1] }); err != nil {
		t.Fatal(err)
	}
	if got := readDraws(t, file.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []int{-1, 1 << 24} {
		if err := writeDraws(&file, 1, func() int { return bad }); err == nil {
			t.Errorf("draw %d: no error", bad)
		}
	}
	broken := errors.New("disk full")
	if err := writeDraws(failing{broken}, 10_000, func() int { return 1 }); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// failing cannot be written to.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Draws are of the tenants that there are, each number is drawn as often as its distribution says (within five standard
// deviations of the binomial distribution; the seed is fixed), and every run draws the same.
func TestDistributions(t *testing.T) {
	const n, count = 50, 200_000
	weights := make([]float64, n)
	sum := 0.0
	for k := range weights {
		weights[k] = math.Pow(float64(k+1), -zipfExponent)
		sum += weights[k]
	}
	for _, tt := range []struct {
		name    string
		draw    func(*rand.Rand, int) func() int
		portion func(k int) float64
	}{
		{"uniform", uniform, func(int) float64 { return 1.0 / n }},
		{"zipf", zipf, func(k int) float64 { return weights[k] / sum }},
		{"ten", ten, func(k int) float64 {
			if k < 10 {
				return 0.1
			}
			return 0
		}},
	} {
		drawn := func() []int {
			next := tt.draw(rand.New(rand.NewPCG(n, 1)), n)
			list := make([]int, count)
			for i := range list {
				list[i] = next()
			}
			return list
		}
		list := drawn()
		if !slices.Equal(list, drawn()) {
			t.Errorf("%s: a second run draws others", tt.name)
		}
		seen := make([]int, n)
		for _, k := range list {
			if k < 0 || k >= n {
				t.Fatalf("%s: drew %d of %d", tt.name, k, n)
			}
			seen[k]++
		}
		for k, got := range seen {
			p := tt.portion(k)
			if want, deviation := p*count, math.Sqrt(count*p*(1-p)); math.Abs(float64(got)-want) > 5*deviation {
				t.Errorf("%s: %d was drawn %d times, want %.0f", tt.name, k, got, want)
			}
		}
	}
	if next := ten(rand.New(rand.NewPCG(1, 1)), 3); next() > 2 {
		t.Error("ten of three drew a fourth")
	}
}

// Rounds begin at different draws, always within the file.
func TestDrawsFrom(t *testing.T) {
	d := draws{Count: drawCount}
	seen := map[int]bool{}
	for round := range 50 {
		from := d.from(round)
		if from < 0 || from >= d.Count || seen[from] {
			t.Errorf("round %d begins at %d", round, from)
		}
		seen[from] = true
	}
}

// The curve has the sizes that -tenants allows, and ends with it.
func TestSizesUpTo(t *testing.T) {
	for n, want := range map[int][]int{
		1: {1}, 10: {10}, 500: {10, 500}, 100_000: {10, 1000, 100_000}, 1_000_000: {10, 1000, 100_000, 1_000_000},
		2_000_000: {10, 1000, 100_000, 1_000_000, 2_000_000},
	} {
		if got := sizesUpTo(n); !slices.Equal(got, want) {
			t.Errorf("up to %d: %v, want %v", n, got, want)
		}
	}
}

// A proxy has cores of its own as long as one is left for upstream and load.
func TestLayoutOf(t *testing.T) {
	four := coreSet{0, 1, 2, 3}
	for _, tt := range []struct {
		available coreSet
		proxy     int
		want      string
	}{
		{four, 1, "0|1|2,3 false"},
		{four, 2, "0,1|2|3 false"},
		{four, 4, "0,1,2,3|0,1,2,3|0,1,2,3 true"},
		{coreSet{7}, 1, "7|7|7 true"},
		{coreSet{0, 1}, 2, "0,1|0,1|0,1 true"},
	} {
		l, shared := layoutOf(tt.available, tt.proxy)
		if got := fmt.Sprintf("%s|%s|%s %v", l.Proxy, l.Upstream, l.Load, shared); got != tt.want {
			t.Errorf("%v with %d for the proxy: %s, want %s", tt.available, tt.proxy, got, tt.want)
		}
	}
}
