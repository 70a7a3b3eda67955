package fleet

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: whatever cores take and give back, in whichever lane, a slot is free or taken: none is lost and none is there twice;
// and what nobody has taken cannot be given back.
func TestSlotsKeepCount(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		c, all := newCell(id{kind: kindConcurrent}), 1+rnd.Int64N(2000)
		c.tokens.Store(all)
		c.expires.Store(1000)
		taken := int64(0)
		for range 3000 {
			n := lane.Number(rnd.IntN(64)) | 1<<31
			switch rnd.IntN(20) {
			case 0:
				c.stripes.CompareAndSwap(nil, newStripes())
			case 1:
				c.gather()
			case 2, 3, 4, 5, 6, 7, 8, 9, 10, 11:
				_, ok := c.take(&n, 0, 1)
				if !ok {
					_, ok = c.spendAll(0, 1)
				}
				if ok != (taken < all) {
					t.Fatalf("seed %d: %d of %d are taken: %v", seed, taken, all, ok)
				}
				if ok {
					c.enter(&n)
					taken++
				}
			default:
				if ok := c.release(&n); ok != (taken > 0) {
					t.Fatalf("seed %d: %d are taken, one is given back: %v", seed, taken, ok)
				} else if ok {
					taken--
				}
			}
			if got := c.slots(); got != taken {
				t.Fatalf("seed %d: %d are taken, want %d", seed, got, taken)
			}
		}
		if free := c.gather(); free != all-taken {
			t.Fatalf("seed %d: %d are free, want %d", seed, free, all-taken)
		}
	}
}

// Promise: slots that cores take from stripes are never more than there are, across gateways, and all of them come back.
func TestStripesHoldSlots(t *testing.T) {
	const slots, workers, each = 4000, 4, 2000
	server := redis.Start(t, redis.Options{})
	options := func(o *Options) { o.Idle, o.Timeout = time.Hour, 10*time.Second }
	limits := []quota.Limit{{Name: "concurrency", Key: quotatest.Key(quota.ScopeTenant, 1), Concurrent: slots}}
	stores := []*Store{newStore(t, server, options), newStore(t, server, options)}
	var inFlight atomic.Int64
	var all sync.WaitGroup
	for _, s := range stores {
		for w := range workers {
			all.Go(func() {
				out, open := make([]quota.Status, 1), 0
				for n := range each {
					if c := s.find(&id{limits[0].Key, kindConcurrent}); c != nil && n%100 == w {
						c.stripes.CompareAndSwap(nil, newStripes())
					}
					if s.Take(time.Now(), 1, limits, out) {
						if n := inFlight.Add(1); n > slots {
							t.Errorf("%d in flight", n)
						}
						open++
					}
					if n%7 == 0 {
						lane.Move()
					}
					for open > 20 || n == each-1 && open > 0 {
						inFlight.Add(-1)
						s.Release(limits)
						open--
					}
				}
			})
		}
	}
	all.Wait()
	for _, s := range stores {
		if c := s.find(&id{limits[0].Key, kindConcurrent}); c.slots() != 0 {
			t.Errorf("%d slots are taken at the end", c.slots())
		}
		s.Close()
		if st := s.Stats(); st.Failures > 0 || st.Losses > 0 {
			t.Fatalf("redis did not answer in 10 s: %+v", st)
		}
	}
	last, out, passed := newStore(t, server, options), make([]quota.Status, 1), 0
	for passed < 2*slots && last.Take(time.Now(), 1, limits, out) {
		passed++
	}
	if st := last.Stats(); st.Failures > 0 || st.Losses > 0 {
		t.Fatalf("redis did not answer in 10 s: %+v", st)
	}
	if passed != slots {
		t.Errorf("%d of %d slots could be taken when all had been given back", passed, slots)
	}
}

// Promise: where cores race for few slots more are leased at once, up to what all gateways may hold together.
func TestSlotsCrowded(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Idle, o.Timeout = time.Hour, 10*time.Second })
	for n, want := range map[int64]int64{100_000: crowd, 800: 100} {
		limits, out := []quota.Limit{{Key: quotatest.Key(quota.ScopeTenant, int(n)), Concurrent: n}}, make([]quota.Status, 1)
		if !s.Take(time.Now(), 1, limits, out) {
			t.Fatal("refused")
		}
		c := s.find(&id{limits[0].Key, kindConcurrent})
		c.contended(s.clock())
		c.contended(s.clock())
		// Whoever comes now has more fetched.
		eventually(t, func() bool {
			if s.Take(time.Now(), 1, limits, out) {
				s.Release(limits)
			}
			got := c.gather()
			return got == want || got == want+1 // one was given back when more had been asked for
		})
	}
}
