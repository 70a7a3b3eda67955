package quota

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Promise: with many requests at once, accounts that are loaded, saved, evicted and loaded again all the while, and takes that
// lose races and take back, no allowance admits more than it has, concurrency never lets more in, and what is recorded in
// the end is what was admitted, to the request.
func TestStressKinds(t *testing.T) {
	const workers, each, tenants = 8, 3000, 3
	b := newBook()
	p := page{b, "node"}
	var now atomic.Int64
	start := time.Date(2028, 2, 28, 23, 0, 0, 0, time.UTC)
	now.Store(start.UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()).UTC() }
	l := NewLocal(LocalOptions{Now: clock, Usage: UsageOptions{
		Source: p, Sink: p, FlushInterval: time.Millisecond, LoadTimeout: time.Minute, IdleAfter: time.Nanosecond,
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var loops, wg sync.WaitGroup
	loops.Go(func() { l.ledger.loadLoop(ctx) })
	loops.Go(func() { l.ledger.flushLoop(ctx) })
	var evicted int
	loops.Go(func() {
		for ctx.Err() == nil {
			now.Add(int64(time.Second))
			evicted += l.ledger.sweep(clock()) + l.flights.sweep()
		}
	})
	const month = 4000
	var admitted, inFlight [tenants]atomic.Int64
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 31))
			for range each {
				n, other := rnd.IntN(tenants), tenants+rnd.IntN(2)
				limits := []Limit{
					{Key: tenantKey(n), Concurrent: 3},
					{Key: tenantKey(n), Allowance: Allowance{month, PeriodMonth}},
					{Key: tenantKey(other), Allowance: Allowance{Max: 2500, Period: PeriodMonth}},
				}
				if l.Take(clock(), 1, limits, make([]Status, 3)) {
					if most := inFlight[n].Add(1); most > 3 {
						t.Errorf("%d in flight", most)
					}
					admitted[n].Add(1)
					inFlight[n].Add(-1)
					l.Release(limits)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	loops.Wait()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for n := range tenants {
		got := b.total(tenantKey(n), start) + b.total(tenantKey(n), start.AddDate(0, 0, 7))
		if got != admitted[n].Load() || b.total(tenantKey(n), start) > month {
			t.Errorf("tenant %d: %d recorded, %d admitted of %d", n, got, admitted[n].Load(), month)
		}
		sum += got
	}
	var others int64
	for n := tenants; n < tenants+2; n++ {
		others += b.total(tenantKey(n), start) + b.total(tenantKey(n), start.AddDate(0, 0, 7))
	}
	if others != sum {
		t.Errorf("%d recorded of what was charged together with %d", others, sum)
	}
	for n := range tenants {
		if c := l.flights.find(&Key{ScopeTenant, tenantKey(n).ID}); c.inFlight() != 0 {
			t.Errorf("tenant %d: %d in flight at the end", n, c.inFlight())
		}
	}
	t.Logf("%d admitted, %d evicted, %v of the clock", sum, evicted, clock().Sub(start))
}

// Promise: slots are never lost and never given twice, with sweeps at the same time.
func TestStressSlots(t *testing.T) {
	l := NewLocal(LocalOptions{})
	limits := []Limit{{Key: tenantKey(1), Concurrent: 2}}
	var inside atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out := make([]Status, 1)
			for range 20_000 {
				if l.Take(time.Now(), 1, limits, out) {
					if n := inside.Add(1); n > 2 {
						t.Errorf("%d inside", n)
					}
					inside.Add(-1)
					l.Release(limits)
				}
			}
		})
	}
	for range 1000 {
		l.flights.sweep()
	}
	wg.Wait()
	l.flights.sweep()
	if l.Len() != 0 {
		t.Error("somebody is still inside")
	}
	l.Release(limits) // once too often: no harm
	if out := make([]Status, 1); !l.Take(time.Now(), 1, limits, out) || out[0].Remaining != 1 {
		t.Errorf("%+v", out[0])
	}
}
