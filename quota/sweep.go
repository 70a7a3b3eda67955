package quota

import (
	"context"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/index"
)

// Sweep gives back the memory of every bucket that is full at now, of accounts that are saved and idle, and of Keys
// without a request in flight, and returns how many there were. Requests go on meanwhile: they never wait for a sweep, and
// none of what they spend is lost. now must come from the clock that the Local was built with.
func (l *Local) Sweep(now time.Time) (removed int) {
	for i := range index.Shards {
		removed += l.sweepShard(i, now)
	}
	return removed + l.ledger.sweep(now) + l.flights.sweep()
}

// sweepLag is how far Run's sweeps lie in the past: a request that read the clock before a sweep and spends after it is not
// charged as if it came at the sweep, which a limit with a burst of 1 would refuse.
const sweepLag = time.Second

// Run sweeps until ctx ends: one shard at a time, so that all have had their turn after each SweepInterval. It also loads
// what was used of allowances and saves what is used, and gives warnings: with a source, it has to run before the first
// Take. It does not save what is left at its end; [Local.Flush] does, once no request is under way any more.
func (l *Local) Run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { l.ledger.warnLoop(ctx) })
	if l.ledger.usage.Source != nil {
		loops.Go(func() { l.ledger.loadLoop(ctx) })
		loops.Go(func() { l.ledger.flushLoop(ctx) })
	}
	ticker := time.NewTicker(max(l.every/index.Shards, time.Millisecond))
	defer ticker.Stop()
	// Accounts rest for much longer than buckets, and where there are many of them most are asked for again.
	rounds := max(1, int(l.ledger.usage.IdleAfter/idlePart/l.every))
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			i := n % index.Shards
			l.sweepShard(i, l.now().Add(-sweepLag))
			if n/index.Shards%rounds == rounds-1 {
				l.ledger.sweepShard(i, l.now())
			}
			if i == index.Shards-1 {
				l.flights.sweep()
			}
		}
	}
}

// idlePart is which part of IdleAfter there is at the most between two looks at an account.
const idlePart = 5

// sweepShard evicts what is full from one shard.
func (l *Local) sweepShard(i int, now time.Time) (removed int) {
	l.sweeping.Lock()
	defer l.sweeping.Unlock()
	at := instantOf(now, l.epoch)
	// Before the first cell dies, so that whoever misses it finds the floor raised. A clock that went back lowers it.
	l.floor.Store(uint64(at))
	return l.cells.Sweep(i, func(c *cell) bool {
		if c.full(at) {
			return true
		}
		c.retire(at)
		return false
	})
}

// full kills the cell if its bucket is full at the given instant.
//
// A TAT farther ahead than any rate's horizon is counted as full too: it is that of a bucket untouched for more than
// 417 days (half of the range of an instant), or the clock went back by more than 208 days.
func (c *cell) full(at instant) bool {
	tat := c.load()
	if tat == dead {
		return false
	}
	if d := tat.since(at); d > 0 && d <= maxHorizon {
		return false
	}
	return c.kill(tat)
}
