//go:build !race

package caddymodule

import (
	"math"
	goruntime "runtime"
	"testing"
)

// Promise: to the whole server, a refusal costs no more allocations than Caddy's own respond with the same answer.
func TestRefusalServerAllocations(t *testing.T) {
	for _, c := range servedRefusals(t) {
		own, same := allocsOfAnswer(t, c.port, &c), allocsOfAnswer(t, c.samePort, &c)
		t.Logf("%s: %.1f allocations, respond %.1f", c.name, own, same)
		if own > same {
			t.Errorf("%s: %.1f allocations, respond makes %.1f", c.name, own, same)
		}
	}
}

// allocsOfAnswer returns how many allocations the process makes for an answer. What goes on in the background does not count:
// it can only add, so that the smallest of some figures is the right one.
func allocsOfAnswer(tb testing.TB, port string, c *servedRefusal) float64 {
	tb.Helper()
	const answers = 500
	least := math.Inf(1)
	for range 8 {
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		memoryAsk(tb, port, c.host, c.status, answers)
		goruntime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/answers)
	}
	return least
}
