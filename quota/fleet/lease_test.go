package fleet

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// limitsOf returns one limit of a tenant.
func limitsOf(n int, r quota.Rate) []quota.Limit {
	return []quota.Limit{{Name: "requests", Key: quotatest.Key(quota.ScopeTenant, n), Rate: r}}
}

// newFleet returns so many stores on one Redis, each of which knows of all others.
func newFleet(t testing.TB, server *redis.Server, nodes int, change func(*Options)) []*Store {
	t.Helper()
	stores := make([]*Store, nodes)
	for i := range stores {
		stores[i] = newStore(t, server, func(o *Options) {
			o.Heartbeat = 50 * time.Millisecond
			if change != nil {
				change(o)
			}
		})
	}
	for _, s := range stores {
		eventually(t, func() bool { return s.Stats().Nodes == int64(nodes) })
	}
	return stores
}

// Promise: a busy tenant costs at most one round trip for 50 requests, as the server counts them, and no request of it
// waits for one once it is known to be busy.
func TestRoundTrips(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Heartbeat = time.Hour })
	limits, out := limitsOf(1, mustRate(t, 100_000, time.Second, 0)), make([]quota.Status, 1)
	before, counted := server.Scripts(t), s.Stats().Calls
	const requests = 50_000
	for range requests {
		if !s.Take(time.Now(), 1, limits, out) {
			t.Fatalf("refused: %+v", out[0])
		}
	}
	made := server.Scripts(t) - before
	if most := requests / 50; made > most || made == 0 {
		t.Errorf("%d round trips for %d requests", made, requests)
	}
	if got := s.Stats().Calls - counted; int64(made) > got+1 || int64(made) < got {
		t.Errorf("the store counts %d round trips, the server %d", got, made)
	}
	t.Logf("%d round trips for %d requests", made, requests)
}

// Promise: the same holds for a tenant that is refused most of the time, but for the few that it takes to find that out.
func TestRoundTripsOfRefusals(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Heartbeat = time.Hour })
	limits, out := limitsOf(1, mustRate(t, 100, time.Second, 0)), make([]quota.Status, 1)
	before := server.Scripts(t)
	// How many calls there are depends on the time that this takes, which may be ten times what it mostly is.
	const requests = 20_000
	for n := range requests {
		s.Take(time.Now(), 1, limits, out)
		if n%10 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if made := server.Scripts(t) - before; made > requests/50+30 {
		t.Errorf("%d round trips for %d requests", made, requests)
	}
}

// Promise: exact mode makes one round trip for each request, however many limits it has.
func TestRoundTripsExact(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Heartbeat, o.Mode = time.Hour, ModeExact })
	limits := limitsOf(1, mustRate(t, 1000, time.Second, 0))
	for i := range 3 {
		limits = append(limits, quota.Limit{Key: quotatest.Key(quota.ScopeRoute, i), Tenant: limits[0].Key.ID, Rate: limits[0].Rate})
	}
	out := make([]quota.Status, 4)
	s.Take(time.Now(), 1, limits, out) // loads the script
	before := server.Scripts(t)
	for range 100 {
		s.Take(time.Now(), 1, limits, out)
	}
	if made := server.Scripts(t) - before; made != 100 {
		t.Errorf("%d round trips for 100 requests", made)
	}
}

// Promise: four gateways that are asked at once admit one burst together, no request more and none less, whether the
// burst is a handful or many thousands.
func TestFleetAdmitsOneBurst(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	for _, mode := range []Mode{ModeLease, ModeExact} {
		for _, burst := range []int64{1, 7, 20, 5000} {
			server.Must(t, "FLUSHALL")
			stores := newFleet(t, server, 4, func(o *Options) { o.Mode = mode })
			limits := limitsOf(1, quotatest.Slow(t, burst))
			var total int64
			// What one has on lease and does not spend it gives back after a while, and then another gets it.
			eventually(t, func() bool {
				admitted := make([]int, len(stores))
				var all sync.WaitGroup
				for i, s := range stores {
					all.Go(func() { admitted[i] = quotatest.Drain(s, limits, 10_000) })
				}
				all.Wait()
				for _, n := range admitted {
					total += int64(n)
				}
				return total >= burst
			})
			if total != burst {
				t.Errorf("%s: %d of %d were admitted", mode, total, burst)
			}
			for _, s := range stores {
				s.Close()
			}
		}
	}
}

// Promise: a lease that nobody spends from is given back, while the gateway runs and when it ends.
func TestLeasesReturn(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	stores := newFleet(t, server, 2, func(o *Options) { o.Idle = 50 * time.Millisecond })
	limits := limitsOf(1, quotatest.Slow(t, 1000))
	out := make([]quota.Status, 1)
	first, spent := stores[0], 0
	for ; spent < 300; spent++ {
		first.Take(time.Now(), 1, limits, out)
	}
	c := first.find(&id{limits[0].Key, kindRate})
	if c.tokens.Load() == 0 {
		t.Fatal("nothing is on lease")
	}
	eventually(t, func() bool { return c.tokens.Load() == 0 })
	for ; spent < 500; spent++ {
		first.Take(time.Now(), 1, limits, out)
	}
	first.Close()
	if n := quotatest.Drain(stores[1], limits, 1000); n != 1000-spent {
		t.Errorf("%d of the other %d are left", n, 1000-spent)
	}
}

// Promise: so is a lease that is on its way when the gateway ends.
func TestLeasesOnTheirWayReturn(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	stores := newFleet(t, server, 2, func(o *Options) { o.Timeout = patience })
	limits := limitsOf(1, quotatest.Slow(t, 1000))
	first, spent := stores[0], quotatest.Drain(stores[0], limits, 10)
	c := first.find(&id{limits[0].Key, kindRate})
	eventually(t, func() bool { return !c.asking() })
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { spent += quotatest.Drain(first, limits, int(c.onLease(first.clock()))+1) }) // the last one asks, and for more
	eventually(t, func() bool { return c.onLease(first.clock()) == 0 && c.asking() })
	all.Go(first.Close)
	eventually(t, first.closing.Load)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if n := quotatest.Drain(stores[1], limits, 1000); n != 1000-spent {
		t.Errorf("%d of the other %d are left", n, 1000-spent)
	}
}

// Promise: what a gateway that dies had on lease counts as spent, and after the lease ends nothing holds it.
func TestLeasesOfTheDeadEnd(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	// Long enough for a machine that is busy with something else when a lease has to be renewed.
	const lease = 2 * time.Second
	stores := newFleet(t, server, 2, func(o *Options) { o.Lease = lease })
	limits := []quota.Limit{
		{Name: "slots", Key: quotatest.Key(quota.ScopeTenant, 1), Concurrent: 10},
	}
	out := make([]quota.Status, 1)
	for range 10 {
		if !stores[0].Take(time.Now(), 1, limits, out) {
			t.Fatalf("%+v", out[0])
		}
	}
	if stores[1].Take(time.Now(), 1, limits, out) || out[0].RetryAfter != quota.ConcurrentRetry {
		t.Fatalf("an eleventh passed: %+v", out[0])
	}
	// The slots stay taken for as long as the gateway lives.
	for began := time.Now(); time.Since(began) < lease+lease/2; time.Sleep(10 * time.Millisecond) {
		if stores[1].Take(time.Now(), 1, limits, out) {
			t.Fatal("a slot that is taken was given to another")
		}
	}
	stores[0].cancel() // dies: says nothing more
	stores[0].loops.Wait()
	eventually(t, func() bool { return stores[1].Take(time.Now(), 1, limits, out) })
}

// Promise: slots that are released can be taken again, by any gateway, and never more than there are.
func TestConcurrencyAcrossTheFleet(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	for _, mode := range []Mode{ModeLease, ModeExact} {
		server.Must(t, "FLUSHALL")
		stores := newFleet(t, server, 4, func(o *Options) { o.Mode, o.Idle = mode, 20*time.Millisecond })
		limits := []quota.Limit{{Name: "slots", Key: quotatest.Key(quota.ScopeTenant, 1), Concurrent: 12}}
		var (
			all          sync.WaitGroup
			mu           sync.Mutex
			inside, most int
			passed       int
		)
		for _, s := range stores {
			for range 8 {
				all.Go(func() {
					out := make([]quota.Status, 1)
					for range 100 {
						if !s.Take(time.Now(), 1, limits, out) {
							time.Sleep(time.Millisecond)
							continue
						}
						mu.Lock()
						inside++
						passed++
						most = max(most, inside)
						mu.Unlock()
						time.Sleep(100 * time.Microsecond)
						mu.Lock()
						inside--
						mu.Unlock()
						s.Release(limits)
					}
				})
			}
		}
		all.Wait()
		if most > 12 || passed < 100 {
			t.Errorf("%s: %d at once, of 12; %d passed", mode, most, passed)
		}
		// All of them are free again, for one gateway alone.
		eventually(t, func() bool {
			n := quotatest.Drain(stores[3], limits, 20)
			for range n {
				stores[3].Release(limits)
			}
			return n == 12
		})
		for _, s := range stores {
			s.Close()
		}
	}
}

// Promise: an allowance is one for all gateways, counted to the last request, and every request that is admitted is
// recorded by the local store of the gateway that admitted it.
func TestAllowanceAcrossTheFleet(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	for _, mode := range []Mode{ModeLease, ModeExact} {
		server.Must(t, "FLUSHALL")
		month, err := quota.NewAllowance(3000, quota.PeriodMonth)
		if err != nil {
			t.Fatal(err)
		}
		limits := []quota.Limit{{Name: "month", Key: quotatest.Key(quota.ScopeTenant, 1), Allowance: month}}
		stores := newFleet(t, server, 4, func(o *Options) { o.Mode, o.Idle = mode, 50*time.Millisecond })
		// One gateway knows that some was used before Redis was there.
		out := make([]quota.Status, 1)
		for range 500 {
			stores[2].local.Take(time.Now(), 1, limits, out)
		}
		stores[2].Take(time.Now(), 1, limits, out)
		total := 1
		eventually(t, func() bool {
			admitted := make([]int, len(stores))
			var all sync.WaitGroup
			for i, s := range stores {
				all.Go(func() { admitted[i] = quotatest.Drain(s, limits, 700) })
			}
			all.Wait()
			for _, n := range admitted {
				total += n
			}
			return total >= 2500
		})
		recorded := int64(-500)
		for _, s := range stores {
			s.local.Take(time.Now(), 0, limits, out)
			recorded += 3000 - out[0].Remaining
		}
		if total != 2500 || recorded != 2500 {
			t.Errorf("%s: %d were admitted and %d recorded, of 2500", mode, total, recorded)
		}
		if stores[0].Take(time.Now(), 1, limits, out) || out[0].RetryAfter < time.Minute && time.Now().UTC().Day() < 28 {
			t.Errorf("%s: %+v", mode, out[0])
		}
		for _, s := range stores {
			s.Close()
		}
	}
}

// Promise: limits that come once leave the memory again, here and in Redis, as soon as their buckets are full; and who
// was evicted comes back to what is left.
func TestMemoryIsBounded(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Idle = 100 * time.Millisecond })
	const tenants = 20_000
	quick := mustRate(t, 10, time.Second, 2)
	work := make(chan int, tenants)
	for n := range tenants {
		work <- n
	}
	close(work)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			out := make([]quota.Status, 1)
			for n := range work {
				s.Take(time.Now(), 1, limitsOf(n, quick), out)
			}
		})
	}
	all.Wait()
	slow := limitsOf(tenants, quotatest.Slow(t, 5))
	if n := quotatest.Drain(s, slow, 3); n != 3 {
		t.Fatalf("%d passed", n)
	}
	eventually(t, func() bool { return s.Stats().Cells <= 1 })
	// The last one is forced out, too.
	c := s.find(&id{slow[0].Key, kindRate})
	eventually(t, func() bool { return c.tokens.Load() == 0 && c.kill() || c.dead() })
	s.shards[s.hasher.hash(&id{slow[0].Key, kindRate})>>(64-shardBits)].clean()
	if n := quotatest.Drain(s, slow, 10); n != 2 {
		t.Errorf("%d passed after the eviction, want the 2 that are left", n)
	}
	eventually(t, func() bool {
		n, err := server.Must(t, "DBSIZE").AsInt64()
		return err == nil && n <= 2 // the one that is not full, and the set of nodes
	})
	runtime.KeepAlive(s)
}

// Promise: gateways whose clocks are wrong by hours, and run backwards now and then, share a limit as others do.
func TestClocksDoNotMatter(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	var mu sync.Mutex
	skew := time.Duration(0)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Round(0).Add(skew)
	}
	wrong := newStore(t, server, func(o *Options) { o.Now = now })
	right := newStore(t, server, nil)
	limits, out := limitsOf(1, quotatest.Slow(t, 1000)), make([]quota.Status, 1)
	total := 0
	for i := range 3000 {
		if i%50 == 0 {
			mu.Lock()
			skew = time.Duration(i%7-3) * time.Hour
			mu.Unlock()
		}
		if wrong.Take(now(), 1, limits, out) {
			total++
		}
		if right.Take(time.Now(), 1, limits, out) {
			total++
		}
	}
	if total > 1000 || total < 300 {
		t.Errorf("%d of 1000 were admitted", total)
	}
}
