//go:build !race

package assertion

import "testing"

// TestAllocations keeps the promise that a token which is there costs no allocation. AllocsPerRun misreports with the
// race detector.
func TestAllocations(t *testing.T) {
	s := testSigner(t, Options{})
	for name, f := range benchFacts() {
		mustToken(t, s, f, noon)
		if got := testing.AllocsPerRun(200, func() { mustToken(t, s, f, noon) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
