//go:build !race

package router

import "testing"

// TestServerNameAllocations keeps the promise that TLS costs no allocation unless the names differ.
func TestServerNameAllocations(t *testing.T) {
	for _, p := range serverNamePaths(t) {
		if got := testing.AllocsPerRun(200, p.run); got != p.allocs {
			t.Errorf("%s: %v allocations, want %v", p.name, got, p.allocs)
		}
	}
}
