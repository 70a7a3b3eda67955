package fleet

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
	"github.com/tenantgate/tenantgate/test/redis"
)

// leasedCell is a cell with so many tokens on lease until an instant, and with stripes.
func leasedCell(tokens, expires int64) *cell {
	c := newCell(id{kind: kindRate})
	c.tokens.Store(tokens)
	c.expires.Store(expires)
	c.stripes.Store(newStripes())
	return c
}

// Promise: whatever cores take ahead of need, give back, gather and empty, no token of a lease is lost and none is
// spent twice.
func TestStripesKeepCount(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c, want := leasedCell(rnd.Int64N(5000), 1000), int64(0)
		want = c.tokens.Load()
		for range 3000 {
			n, cost := lane.Number(rnd.IntN(64))|1<<31, 1+rnd.Int64N(6)
			switch rnd.IntN(100) {
			case 0:
				more := rnd.Int64N(3000)
				c.tokens.Add(more)
				want += more
			case 1:
				if got := c.gather(); got != want {
					t.Fatalf("seed %d: %d gathered, want %d", seed, got, want)
				}
			case 2:
				if _, ok := c.take(&n, 1000, 1); ok {
					t.Fatalf("seed %d: spent after the lease has ended", seed)
				}
			case 3:
				if rnd.IntN(10) == 0 {
					if got := c.empty(); got != want {
						t.Fatalf("seed %d: %d taken, want %d", seed, got, want)
					}
					want = 0
				}
			case 4:
				if _, ok := c.spendAll(999, cost); ok != (cost <= want) {
					t.Fatalf("seed %d: a cost of %d with %d on lease: %v", seed, cost, want, ok)
				} else if ok {
					want -= cost
				}
			default:
				left, ok := c.take(&n, 999, cost)
				if ok {
					want -= cost
				}
				if left < 0 || left > want {
					t.Fatalf("seed %d: says %d are left of %d", seed, left, want)
				}
				if ok && rnd.IntN(5) == 0 {
					c.unspend(cost)
					want += cost
				}
			}
		}
		if got := c.gather(); got != want {
			t.Fatalf("seed %d: %d left, want %d", seed, got, want)
		}
	}
}

// Promise: the same with many cores at once, and gathering at any time finds no token missing.
func TestStressStripes(t *testing.T) {
	const workers, each, tokens = 8, 20_000, 120_000
	c := leasedCell(tokens, 1)
	var (
		spent, emptied atomic.Int64
		all            sync.WaitGroup
	)
	for w := range workers {
		all.Go(func() {
			var n lane.Number
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range each {
				cost := 1 + rnd.Int64N(2)
				if _, ok := c.take(&n, 0, cost); ok {
					if rnd.IntN(4) == 0 {
						c.unspend(cost)
					} else {
						spent.Add(cost)
					}
				}
				if i%1000 == 0 {
					if got := c.gather(); got < 0 || got > tokens {
						t.Errorf("%d gathered of %d", got, tokens)
					}
				}
				if i == each/2 && w == 0 {
					n := c.empty()
					emptied.Add(n)
					c.tokens.Add(n / 2)
					emptied.Add(-(n / 2))
				}
			}
		})
	}
	all.Wait()
	if left := c.gather(); left+spent.Load()+emptied.Load() != tokens {
		t.Errorf("%d left, %d spent and %d given up of %d", left, spent.Load(), emptied.Load(), tokens)
	}
}

// Promise: of 500 requests to a contended lease, one changes the word that all cores share.
func TestStripesSpareTheLease(t *testing.T) {
	const requests = 50_000
	c, changes := leasedCell(2*requests, 1), 0
	for i := range requests {
		n, before := lane.Number(i%8)|1<<31, c.tokens.Load()
		if _, ok := c.take(&n, 0, 1); !ok {
			t.Fatal("refused")
		}
		if c.tokens.Load() != before {
			changes++
		}
	}
	if changes > requests/500 {
		t.Errorf("%d changes for %d requests", changes, requests)
	}
}

// Promise: only a lease that cores keep losing races for gets stripes.
func TestStripesCome(t *testing.T) {
	for _, tc := range []struct {
		name   string
		kind   kind
		tokens int64
		again  int64 // ns after the first race
		want   bool
	}{
		{"often", kindRate, 256, 10_000, true},
		{"often, an allowance", kindDay, 256, 10_000, true},
		{"seldom", kindRate, 256, int64(time.Millisecond), false},
		{"few left", kindRate, 255, 10_000, false},
		{"slots", kindConcurrent, 256, 10_000, true},
	} {
		c := newCell(id{kind: tc.kind})
		c.tokens.Store(tc.tokens)
		c.contended(int64(time.Second))
		c.contended(int64(time.Second) + tc.again)
		if got := c.stripes.Load() != nil; got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// Promise: leases that cores spend from in stripes hold the limit to the last request, and go back to Redis when the
// gateway closes.
func TestStripesHoldTheLimit(t *testing.T) {
	const burst = 20_000
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Idle, o.Timeout = time.Hour, 10*time.Second })
	limits := limitsOf(1, mustRate(t, 100, 24*time.Hour, burst))
	stop := make(chan struct{})
	var striping, all sync.WaitGroup
	striping.Go(func() {
		for {
			if c := s.find(&id{limits[0].Key, kindRate}); c != nil {
				c.stripes.CompareAndSwap(nil, newStripes())
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	var admitted atomic.Int64
	for range 8 {
		all.Go(func() {
			out := make([]quota.Status, 1)
			for range burst / 16 {
				if s.Take(time.Now(), 1, limits, out) {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	striping.Wait()
	s.Close()
	other := newStore(t, server, func(o *Options) { o.Timeout = 10 * time.Second })
	out := make([]quota.Status, 1)
	for n := 0; other.Take(time.Now(), 1, limits, out) && n < 2*burst; n++ {
		admitted.Add(1)
	}
	for _, st := range []Stats{s.Stats(), other.Stats()} {
		if st.Failures > 0 || st.Losses > 0 {
			t.Fatalf("redis did not answer in 10 s: %+v", st)
		}
	}
	if n := admitted.Load(); n < burst-burst/100 || n > burst+10 {
		t.Errorf("%d admitted of %d", n, burst)
	}
}
