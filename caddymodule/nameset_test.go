package caddymodule

import (
	"math/rand/v2"
	goruntime "runtime"
	"testing"
)

// Promise: the set has exactly the hashes that were added, 0 and its neighbours included, while it grows and after it was
// made to fit, and needs no more than 22 bytes for each.
func TestNameSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 47, 48, 49, 1000, 100_000} {
		var s nameSet
		if s.has(0) || s.has(1) {
			t.Fatal("the empty set has something")
		}
		added := map[uint64]bool{}
		for i := range n {
			hash := r.Uint64()
			if i%3 == 0 && i < 1000 {
				hash &= 0xffff_ffff_0000_0000 // all in one place of a small table
			}
			if hash < 2 {
				continue
			}
			added[hash] = true
			s.add(hash)
			s.add(hash)
		}
		for _, fit := range []bool{false, true} {
			if fit {
				s.fit()
			}
			for hash := range added {
				if !s.has(hash) {
					t.Fatalf("of %d, one was lost", n)
				}
			}
			for range 10_000 {
				if hash := r.Uint64(); !added[hash] && s.has(hash) {
					t.Fatalf("of %d, one is there that was never added", n)
				}
			}
		}
		if s.used != len(added) || n >= 1000 && 8*len(s.table) > 22*n {
			t.Errorf("%d hashes, %d used, %d bytes", len(added), s.used, 8*len(s.table))
		}
		s.add(0)
		if !s.has(0) {
			t.Error("0 was lost")
		}
	}
}

// BenchmarkNameSetMemory measures the memory of a million names.
func BenchmarkNameSetMemory(b *testing.B) {
	const names = 1_000_000
	for b.Loop() {
		var before, after goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		s := new(nameSet)
		for range names {
			s.add(rand.Uint64())
		}
		s.fit()
		goruntime.GC()
		goruntime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/names, "B/name")
		goruntime.KeepAlive(s)
	}
}
