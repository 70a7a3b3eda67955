package quota

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/index"
)

// Promise: a sweep takes what is full and nothing else; nobody gets a fresh bucket by being swept.
func TestSweepTakesOnlyFullBuckets(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	out := make([]Status, 1)
	limits := func(i int) []Limit { return []Limit{{Key: tenantKey(i), Rate: r}} }
	for i := range 1000 {
		l.Take(clk.Now(), int64(1+i%20), limits(i), out)
	}
	if n := l.Len(); n != 1000 {
		t.Fatalf("%d buckets", n)
	}
	for second := 1; second <= 20; second++ {
		if n := l.Sweep(clk.Add(time.Second - 1)); n != 0 {
			t.Errorf("%d swept that were not full", n)
		}
		if n := l.Sweep(clk.Add(1)); n != 50 {
			t.Errorf("second %d: %d swept, want 50", second, n)
		}
		if n := l.Len(); n != 1000-50*second {
			t.Errorf("second %d: %d left", second, n)
		}
		for i := range 1000 {
			want := min(20, 20-int64(1+i%20)+int64(second))
			if l.Take(clk.Now(), 0, limits(i), out); out[0].Remaining != want {
				t.Fatalf("bucket %d has %d after %d s, want %d", i, out[0].Remaining, second, want)
			}
		}
	}
}

// Promise: reading, and being refused, brings no bucket into memory.
func TestReadingCostsNoMemory(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits, out := one(mustRate(t, 60, time.Minute, 20)), make([]Status, 1)
	l.Take(clk.Now(), 0, limits, out)
	l.Take(clk.Now(), -5, limits, out)
	both := []Limit{{Key: tenantKey(2), Rate: limits[0].Rate}, {Key: tenantKey(3), Rate: mustRate(t, 1, time.Second, 1)}}
	l.Take(clk.Now(), 2, both, make([]Status, 2)) // refused by the second
	if n := l.Len(); n != 0 {
		t.Errorf("%d buckets", n)
	}
}

// Promise: whichever comes first, a spend or the eviction of its bucket, the spend is not lost.
func TestEvictionAgainstSpend(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	setup := func(t *testing.T) (*clock, *Local, []Limit, *cell) {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limits := one(r)
		l.Take(clk.Now(), 1, limits, make([]Status, 1))
		clk.Add(time.Second) // full again
		return clk, l, limits, l.find(&limits[0].Key)
	}
	remaining := func(l *Local, clk *clock, limits []Limit) int64 {
		out := make([]Status, 1)
		l.Take(clk.Now(), 0, limits, out)
		return out[0].Remaining
	}

	t.Run("the spender has the cell, then it is evicted", func(t *testing.T) {
		clk, l, limits, c := setup(t)
		at := instantOf(clk.Now(), l.epoch)
		b := bucket{cell: c, tat: c.load()}
		if n := l.Sweep(clk.Now()); n != 1 || c.load() != dead {
			t.Fatalf("%d swept", n)
		}
		if !l.spendRate(&take{at: at, cost: 5}, &b, &limits[0]) || b.cell == c {
			t.Fatal("not spent, or spent from a dead cell")
		}
		if n := remaining(l, clk, limits); n != 15 || l.Len() != 1 {
			t.Errorf("%d remain in %d buckets", n, l.Len())
		}
	})

	t.Run("killed, but not yet out of the table", func(t *testing.T) {
		clk, l, limits, c := setup(t)
		at := instantOf(clk.Now(), l.epoch)
		l.floor.Store(uint64(at))
		if !c.full(at) {
			t.Fatal("not full")
		}
		if n := remaining(l, clk, limits); n != 20 {
			t.Errorf("%d remain in a dead cell", n)
		}
		if !l.Take(clk.Now(), 5, limits, make([]Status, 1)) {
			t.Fatal("refused")
		}
		for shard := range index.Shards { // the sweep goes on
			l.cells.Sweep(shard, func(*cell) bool { return true })
		}
		if n := remaining(l, clk, limits); n != 15 || l.Len() != 1 {
			t.Errorf("%d remain in %d buckets", n, l.Len())
		}
	})

	t.Run("the spend comes between the sweep's look and its kill", func(t *testing.T) {
		clk, l, limits, c := setup(t)
		seen := c.load()
		l.Take(clk.Now(), 5, limits, make([]Status, 1))
		if c.kill(seen) {
			t.Fatal("killed a cell that was spent from")
		}
		l.Sweep(clk.Now())
		if n := remaining(l, clk, limits); n != 15 {
			t.Errorf("%d remain", n)
		}
	})

	t.Run("a reader of the old table", func(t *testing.T) {
		clk, l, limits, c := setup(t) // c is what it finds there
		l.Sweep(clk.Now())
		l.Take(clk.Now(), 5, limits, make([]Status, 1))
		b := bucket{cell: c, tat: 0}
		if !l.spendRate(&take{at: instantOf(clk.Now(), l.epoch), cost: 5}, &b, &limits[0]) {
			t.Fatal("refused")
		}
		if n := remaining(l, clk, limits); n != 10 || l.Len() != 1 {
			t.Errorf("%d remain in %d buckets", n, l.Len())
		}
	})

	t.Run("the loser of a race whose cell was evicted", func(t *testing.T) {
		clk, l, limits, _ := setup(t)
		at := instantOf(clk.Now(), l.epoch)
		b := new(bucket)
		l.spendRate(&take{at: at, cost: 1}, b, &limits[0])
		l.Sweep(clk.Add(time.Second))
		l.Take(clk.Now(), 5, limits, make([]Status, 1))
		l.rollBackRate(&limits[0], b, at, 1)
		if n := remaining(l, clk, limits); n != 15 {
			t.Errorf("%d remain", n)
		}
	})
}

// Promise: a TAT is never mistaken for the mark of the dead.
func TestDeadIsNoTAT(t *testing.T) {
	c := new(cell)
	if c.swap(0, dead); c.load() != 0 { // dead + 1, by wrapping around
		t.Errorf("TAT %d", c.load())
	}
	c.tat.Store(uint64(dead - 1))
	if c.swap(dead-1, dead-2); c.load() != dead-2 {
		t.Errorf("TAT %d", c.load())
	}
}

// Promise: tables hold what was put into them, under random adding and sweeping, and shrink again.
func TestTables(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	rnd := rand.New(rand.NewPCG(1, 1))
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	spent := make(map[Key]time.Time) // when each bucket is full
	out := make([]Status, 1)
	for range 50_000 {
		k := tenantKey(rnd.IntN(20_000))
		if rnd.IntN(2) == 0 {
			k.Scope = ScopeEnvironment
		}
		now := clk.Add(time.Duration(rnd.IntN(1_000_000)))
		want := spent[k]
		if want.Before(now) {
			want = now
		}
		if want = want.Add(time.Second); want.Sub(now) > 20*time.Second {
			continue
		}
		if !l.Take(now, 1, []Limit{{Key: k, Rate: r}}, out) || out[0].Reset != want.Sub(now) {
			t.Fatalf("%v: %+v, want to be full in %v", k, out[0], want.Sub(now))
		}
		spent[k] = want
		if rnd.IntN(5000) == 0 {
			l.Sweep(now)
			for k, full := range spent {
				if !full.After(now) {
					delete(spent, k)
				}
			}
			if l.Len() != len(spent) {
				t.Fatalf("%d buckets, want %d", l.Len(), len(spent))
			}
		}
	}
	l.Sweep(clk.Add(time.Minute))
	if l.Len() != 0 {
		t.Errorf("%d buckets are left", l.Len())
	}
}

// Promise: Run gives back every full bucket within a SweepInterval, and returns when its context ends; a Local goes
// on working after that.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRate(t, 60, time.Minute, 20)
		l := NewLocal(LocalOptions{SweepInterval: 10 * time.Second})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		out := make([]Status, 1)
		for i := range 1000 {
			l.Take(time.Now(), int64(1+i%2*19), []Limit{{Key: tenantKey(i), Rate: r}}, out)
		}
		<-time.After(12 * time.Second) // by the bubble's clock, not the wall's
		if n := l.Len(); n != 500 {
			t.Errorf("%d buckets after 12 s, want the 500 that are not full", n)
		}
		<-time.After(20 * time.Second)
		if n := l.Len(); n != 0 {
			t.Errorf("%d buckets after 32 s", n)
		}
		cancel()
		<-done
		if !l.Take(time.Now(), 20, one(r), out) || l.Take(time.Now(), 1, one(r), out) {
			t.Error("does not work after Run has ended")
		}
	})
}
