package quota

import (
	"context"
	"sync"
)

// The two loops that depend on the source and the sink of usage.
const (
	loopLoad = iota
	loopFlush
	loops
)

// failing is what the loops know of the source and the sink: they fail together, mostly, and an operator is told once.
type failing struct {
	mu    sync.Mutex
	loops [loops]bool
}

// note takes note of how a loop fared, and tells when the first of them begins to fail and when the last one is over it.
func (g *ledger) note(ctx context.Context, loop int, err error) {
	f := &g.failing
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.loops != [loops]bool{}
	f.loops[loop] = err != nil
	if after := f.loops != [loops]bool{}; after != before {
		g.usage.Failed(ctx, err)
	}
}
