package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
)

const (
	// drawCount is how many draws a file has; a round begins so many draws after the one before, which is more than any
	// slice of a second asks for.
	drawCount  = 2_000_000
	drawStride = 250_007
	// zipfExponent is the exponent s of the Zipf distribution: the tenant of rank k is asked for 1/k^s as often as the
	// first. With 1.1 and a million tenants the first hundredth of them has nine tenths of the requests or a little less.
	zipfExponent = 1.1
)

// draws is a file that says which tenants are asked for, in which order.
type draws struct {
	Path string
	// Count is how many draws there are.
	Count int
}

// from returns the number of the draw with which a round begins: not every round asks for the same tenants.
func (d draws) from(round int) int { return round * drawStride % d.Count }

// distribution says which tenants are asked for how often.
type distribution struct {
	// Name is for tables, Key for files.
	Name, Key string
	// Draw returns what draws from the tenants 0 to n-1.
	Draw func(random *rand.Rand, n int) func() int
}

// ten draws from the first ten tenants, however many there are.
func ten(random *rand.Rand, n int) func() int { return uniform(random, min(n, 10)) }

// uniform draws from n tenants, each as likely as the other.
func uniform(random *rand.Rand, n int) func() int {
	return func() int { return random.IntN(n) }
}

// zipf draws from n tenants, the first most often.
func zipf(random *rand.Rand, n int) func() int {
	z := rand.NewZipf(random, zipfExponent, 1, uint64(n-1))
	return func() int { return int(z.Uint64()) }
}

// writeDraws writes count draws as wrk.lua reads them: three bytes each, the highest first.
func writeDraws(w io.Writer, count int, next func() int) error {
	out := bufio.NewWriter(w)
	for range count {
		n := next()
		if n < 0 || n >= 1<<24 {
			return fmt.Errorf("draw %d does not fit into three bytes", n)
		}
		if _, err := out.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
			return err
		}
	}
	return out.Flush()
}

// drawsOf makes a file of draws from n tenants; the same in every run.
func (b *bench) drawsOf(n int, d distribution) (*draws, error) {
	path := filepath.Join(b.runDir, fmt.Sprintf("draws-%s-%d", d.Key, n))
	next := d.Draw(rand.New(rand.NewPCG(uint64(n), 1)), n)
	err := writeFile(path, func(w io.Writer) error { return writeDraws(w, drawCount, next) })
	return &draws{path, drawCount}, err
}
