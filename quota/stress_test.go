package quota

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Promise: of many requests at once on overlapping limits, each limit admits at most what it has, and what was
// refused has spent nothing: with the clock standing still, each bucket holds exactly what was not admitted from it.
func TestStressRefusedSpendsNothing(t *testing.T) {
	const workers, each, keys = 8, 5000, 6
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		pool := make([]Limit, keys)
		var admitted [keys]atomic.Int64
		for i := range pool {
			pool[i] = Limit{Key: tenantKey(i), Rate: mustRate(t, 60, time.Minute, 1+rnd.Int64N(4000))}
		}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(w)))
				limits, out := make([]Limit, 3), make([]Status, 3)
				for range each {
					picked := rnd.Perm(keys)[:3]
					for i, p := range picked {
						limits[i] = pool[p]
					}
					cost := 1 + rnd.Int64N(3)
					if l.Take(clk.Now(), cost, limits, out) {
						for _, p := range picked {
							admitted[p].Add(cost)
						}
					} else if !out[0].Exceeded && !out[1].Exceeded && !out[2].Exceeded {
						t.Error("refused, but no limit says so")
					}
				}
			})
		}
		wg.Wait()
		out := make([]Status, keys)
		l.Take(clk.Now(), 0, pool, out)
		for i := range pool {
			if got, want := out[i].Remaining, pool[i].Rate.burst-admitted[i].Load(); got != want {
				t.Errorf("seed %d: %d remain of limit %d, want %d", seed, got, i, want)
			}
		}
	}
}

// Promise: with time going on, buckets swept while they are spent from, and requests that lose races, no limit ever
// admits more than its burst plus its rate times the time elapsed; and hardly less when asked for more.
func TestStressNeverAboveTheLimit(t *testing.T) {
	const workers, each, tenants = 8, 20_000, 4
	start := time.Now()
	l := NewLocal(LocalOptions{})
	rates := []Rate{
		mustRate(t, 20_000, time.Second, 20), // full again after 1 ms, so that sweeps find something
		mustRate(t, 5_000, time.Second, 5),
		mustRate(t, 1_000, time.Second, 100),
	}
	// All tenants share the last limit; each has the first two for itself.
	limitsOf := func(tenant int) []Limit {
		return []Limit{
			{Name: "a", Key: tenantKey(10 * tenant), Rate: rates[0]},
			{Name: "b", Key: tenantKey(10*tenant + 1), Rate: rates[1]},
			{Name: "c", Key: tenantKey(9999), Rate: rates[2]},
		}
	}
	var admitted [tenants]atomic.Int64
	stop := make(chan struct{})
	var swept int
	var sweeper, wg sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				swept += l.Sweep(time.Now())
			}
		}
	})
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 5))
			out := make([]Status, 3)
			for range each {
				tenant := rnd.IntN(tenants)
				if l.Take(time.Now(), 1, limitsOf(tenant), out) {
					admitted[tenant].Add(1)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	close(stop)
	sweeper.Wait()

	within := func(name string, r Rate, n int64) {
		if most := r.burst + int64(elapsed.Seconds()*float64(r.requests)/r.period.Seconds()); n > most {
			t.Errorf("limit %s: %d admitted in %v, at most %d are allowed", name, n, elapsed, most)
		}
	}
	total := int64(0)
	for i := range admitted {
		n := admitted[i].Load()
		within("a", rates[0], n)
		within("b", rates[1], n)
		total += n
	}
	within("c", rates[2], total)
	t.Logf("%d admitted and %d buckets swept in %v", total, swept, elapsed)
}

// Promise: spends and evictions of the same buckets, at once and again and again, lose no spend: each time that the
// buckets are full and a sweep is out for them, each of them admits one request and not two.
func TestStressEviction(t *testing.T) {
	const workers, steps, tenants = 4, 1000, 4
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	r := mustRate(t, 1000, time.Second, 1)
	var admitted [tenants]atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			out := make([]Status, 1)
			for !stop.Load() {
				tenant := rnd.IntN(tenants)
				if l.Take(clk.Now(), 1, []Limit{{Key: tenantKey(tenant), Rate: r}}, out) {
					admitted[tenant].Add(1)
				}
			}
		})
	}
	swept := 0
	for step := range int64(steps) {
		// Sweep until all have taken what this millisecond gives them: one that gets two has lost a spend.
		now := clk.Add(time.Millisecond)
		for taken := false; !taken; {
			swept += l.Sweep(now)
			taken = true
			for i := range admitted {
				taken = taken && admitted[i].Load() >= step
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	for i := range admitted {
		if n := admitted[i].Load(); n > 1+steps {
			t.Errorf("tenant %d: %d admitted, at most %d are allowed", i, n, 1+steps)
		}
	}
	t.Logf("%d buckets swept", swept)
}
