//go:build !race

package router

import "testing"

// TestAllocations keeps the promise that the hot path makes no allocation, and that neither do refusals of fixed cases.
// The race detector makes its own, so this runs without it.
func TestAllocations(t *testing.T) {
	for _, p := range hotPaths(t) {
		if got := testing.AllocsPerRun(200, p.run); got != p.allocs {
			t.Errorf("%s: %v allocations, want %v", p.name, got, p.allocs)
		}
	}
}
