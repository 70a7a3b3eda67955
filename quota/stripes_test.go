package quota

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// stripe gives a limit's bucket stripes, as contention does.
func (l *Local) stripe(k Key) *stripes {
	c := l.find(&k)
	if c == nil || c.load() == dead {
		c = l.revive(&k, instantOf(l.now(), l.epoch))
	}
	c.stripes.CompareAndSwap(nil, newStripes())
	return c.stripes.Load()
}

// takeIn is a Take of one rate in a lane of the test's choice, with the bucket that it has spent from.
func (l *Local) takeIn(n int, now time.Time, cost int64, limit *Limit) (*bucket, bool) {
	b := &bucket{cell: l.find(&limit.Key)}
	t := &take{now: now, at: instantOf(now, l.epoch), cost: cost, lane: lane.Number(1<<31 | n)}
	return b, l.spendRate(t, b, limit)
}

// conforms returns an error if an admission is one that GCRA would not have let pass: that is, if in any stretch of time
// more was admitted than the burst plus the rate.
func conforms(r Rate, log []admission) error {
	slices.SortStableFunc(log, func(a, b admission) int { return a.at.Compare(b.at) })
	if len(log) == 0 {
		return nil
	}
	tat := instant(0)
	for _, a := range log {
		at := instantOf(a.at, log[0].at)
		debt := debtOf(tat, at)
		if !r.fits(debt, a.cost) {
			return fmt.Errorf("%v after the first, a cost of %d beyond a rate of %v: debt %v of %v", a.at.Sub(log[0].at), a.cost, r, debt, r.horizon)
		}
		tat = r.after(debt, at, a.cost)
	}
	return nil
}

// stripedRates have enough in their buckets for stripes.
func stripedRates(t testing.TB) []Rate {
	return []Rate{
		mustRate(t, 50_000, time.Second, 0), mustRate(t, 50_000, time.Second, 400), mustRate(t, 1000, time.Second, 0),
		mustRate(t, 6000, time.Minute, 0), mustRate(t, 1_000_000_000, time.Second, 0), mustRate(t, 7, time.Second, 300),
		mustRate(t, 1000, 24*time.Hour, 0),
	}
}

// Promise: a bucket with stripes admits nothing that one word would not have admitted, and says never that more is left
// than there is; under random schedules of spends by all cores, of spends taken back, of sweeps, and of reads.
func TestStripesAgainstModel(t *testing.T) {
	for i, r := range stripedRates(t) {
		for seed := range uint64(12) {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			limits, out := one(r), make([]Status, 1)
			model := newBucketModel(r, clk.Now())
			interval := r.interval.duration()
			for range 400 {
				switch rnd.IntN(20) {
				case 0:
					clk.Add(time.Duration(rnd.Int64N(int64(r.horizon.duration()))))
				case 1, 2:
					clk.Add(time.Duration(rnd.Int64N(int64(20*interval) + 1)))
				case 3:
					l.Sweep(clk.Now())
				case 4:
					l.stripe(limits[0].Key)
				}
				now, cost := clk.Now(), 1+rnd.Int64N(3)
				if rnd.IntN(30) == 0 {
					cost = 1 + rnd.Int64N(r.burst)
				}
				b, ok := l.takeIn(rnd.IntN(64), now, cost, &limits[0])
				if ok && rnd.IntN(8) == 0 {
					l.rollBackRate(&limits[0], b, instantOf(now, l.epoch), cost)
				} else if ok {
					if _, fits := model.take(now, cost); !fits {
						t.Fatalf("%v, seed %d: %d admitted where the model has %v", r, seed, cost, model.tokens.FloatString(3))
					}
				}
				l.Take(now, 0, limits, out)
				if want, _ := model.take(now, 0); out[0].Remaining > want.Remaining {
					t.Fatalf("%v, seed %d: says %d remain of %d", r, seed, out[0].Remaining, want.Remaining)
				}
				if left := r.horizon - b.debt; ok && int64(left/r.interval) > max(out[0].Remaining, 0) {
					t.Fatalf("%v, seed %d: says %d remain of %d", r, seed, left/r.interval, out[0].Remaining)
				}
			}
		}
	}
}

// Promise: as long as no time passes, stripes change nothing at all: each request passes exactly when there is room, whoever
// holds it, and what is left is told exactly.
func TestStripesAreExact(t *testing.T) {
	for i, r := range stripedRates(t) {
		for seed := range uint64(10) {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			limits, out := one(r), make([]Status, 1)
			l.stripe(limits[0].Key)
			left, most := r.burst, int64(3)
			if r.burst > 10_000 {
				most = r.burst / 300
			}
			for left > 0 {
				cost := 1 + rnd.Int64N(most)
				b, ok := l.takeIn(rnd.IntN(64), clk.Now(), cost, &limits[0])
				if ok != (cost <= left) {
					t.Fatalf("%v, seed %d: a cost of %d with %d left: %v", r, seed, cost, left, ok)
				}
				if ok && rnd.IntN(8) == 0 {
					l.rollBackRate(&limits[0], b, instantOf(clk.Now(), l.epoch), cost)
				} else if ok {
					left -= cost
				} else {
					most = left
				}
				if l.Take(clk.Now(), 0, limits, out); out[0].Remaining != left {
					t.Fatalf("%v, seed %d: says %d remain of %d", r, seed, out[0].Remaining, left)
				}
			}
		}
	}
}

// Promise: also with requests that have read the clock earlier than others, and take back what they have spent when time has
// passed, and with two rates for the same bucket, stripes let no stretch of time have more than the burst and the rate.
func TestStripesNeverAboveTheLimit(t *testing.T) {
	for i, r := range stripedRates(t) {
		other := mustRate(t, r.requests/2, r.period, r.burst/2)
		if other.horizon != r.horizon {
			other = r // it would be pardoned what the larger one has spent
		}
		for seed := range uint64(20) {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)+100))
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			large, small := one(r), one(other)
			step := min(int64(20*r.interval.duration()), int64(r.horizon.duration())/20)
			var log []admission
			for range 600 {
				now := clk.Now()
				clk.Add(time.Duration(rnd.Int64N(step + 1)))
				switch rnd.IntN(20) {
				case 0:
					l.Sweep(clk.Now().Add(-time.Duration(step)))
				case 1, 2:
					l.stripe(large[0].Key)
				}
				limits, cost := large, 1+rnd.Int64N(3)
				if rnd.IntN(4) == 0 {
					limits = small
				}
				if rnd.IntN(10) == 0 {
					cost = 1 + rnd.Int64N(max(r.burst/10, 1))
				}
				b, ok := l.takeIn(rnd.IntN(64), now, cost, &limits[0])
				if !ok {
					continue
				}
				if rnd.IntN(6) == 0 {
					clk.Add(time.Duration(rnd.Int64N(step/4 + 1)))
					l.rollBackRate(&limits[0], b, instantOf(now, l.epoch), cost)
					continue
				}
				log = append(log, admission{now, cost})
			}
			if err := conforms(r, log); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// Promise: of 60 requests to a contended bucket, however many cores they come from, one changes the word that all cores
// share; and a bucket of less than 256 requests has no stripes at all, so that nothing is ever charged ahead from it.
func TestStripesSpareTheBucket(t *testing.T) {
	const requests = 20_000
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits := one(mustRate(t, 50_000, time.Second, 0))
	l.stripe(limits[0].Key)
	c, changes := l.find(&limits[0].Key), 0
	for i := range requests {
		before := c.load()
		if _, ok := l.takeIn(i%8, clk.Add(time.Microsecond), 1, &limits[0]); !ok {
			t.Fatal("refused")
		}
		if c.load() != before {
			changes++
		}
	}
	if changes > requests/60 {
		t.Errorf("%d changes for %d requests", changes, requests)
	}

	small := []Limit{{Key: tenantKey(2), Rate: mustRate(t, 255, time.Second, 0)}}
	s := l.stripe(small[0].Key)
	for i := range 255 {
		if _, ok := l.takeIn(i%8, clk.Now(), 1, &small[0]); !ok || s.held(instantOf(clk.Now(), l.epoch)) != 0 {
			t.Fatalf("request %d: %v", i+1, ok)
		}
	}
}

// Promise: a tenant that asks for more than its limit gets nearly all of it, with stripes too.
func TestStripesWasteLittle(t *testing.T) {
	for _, r := range []Rate{mustRate(t, 50_000, time.Second, 400), mustRate(t, 1000, time.Second, 0), mustRate(t, 7, time.Second, 300)} {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limits := one(r)
		l.stripe(limits[0].Key)
		rnd := rand.New(rand.NewPCG(1, 1))
		admitted, steps := int64(0), 20*r.burst
		for range steps {
			clk.Add(r.interval.duration() / 2)
			if _, ok := l.takeIn(rnd.IntN(64), clk.Now(), 1, &limits[0]); ok {
				admitted++
			}
		}
		if want := (r.burst + steps/2) * 98 / 100; admitted < want {
			t.Errorf("%v: %d admitted, want %d at least", r, admitted, want)
		}
	}
}

// Promise: many cores at once on buckets with stripes, some of whose requests are refused by another limit, with sweeps
// going on, let no stretch of time have more than the burst and the rate.
func TestStressStripes(t *testing.T) {
	const workers, each = 8, 5000
	l := NewLocal(LocalOptions{})
	shared, other := mustRate(t, 20_000, time.Second, 2000), mustRate(t, 5_000, time.Second, 700)
	limits := func(n int) []Limit {
		return []Limit{{Key: tenantKey(99), Rate: shared}, {Key: tenantKey(n % 2), Rate: other}}
	}
	var (
		mu       sync.Mutex
		logs     [3][]admission
		stop     atomic.Bool
		sweeper  sync.WaitGroup
		spenders sync.WaitGroup
	)
	sweeper.Go(func() {
		for !stop.Load() {
			l.Sweep(time.Now().Add(-time.Millisecond))
			for _, n := range []int{99, 0, 1} {
				l.stripe(tenantKey(n))
			}
		}
	})
	for w := range workers {
		spenders.Go(func() {
			out := make([]Status, 2)
			var mine [3][]admission
			for i := range each {
				now := time.Now()
				n := (w + i) % 2
				list := limits(n)
				if i%5 == 0 {
					list[0], list[1] = list[1], list[0]
				}
				if l.Take(now, 1+int64(i%3), list, out) {
					mine[2] = append(mine[2], admission{now, 1 + int64(i%3)})
					mine[n] = append(mine[n], admission{now, 1 + int64(i%3)})
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range logs {
				logs[i] = append(logs[i], mine[i]...)
			}
		})
	}
	spenders.Wait()
	stop.Store(true)
	sweeper.Wait()
	for i, r := range []Rate{other, other, shared} {
		if err := conforms(r, logs[i]); err != nil {
			t.Errorf("limit %d: %v", i, err)
		}
		if len(logs[i]) == 0 {
			t.Errorf("limit %d: nothing was admitted", i)
		}
	}
	t.Logf("%d, %d and %d admitted", len(logs[0]), len(logs[1]), len(logs[2]))
}

// Promise: with the clock standing still, many cores at once on buckets with stripes leave in each of them exactly what was
// not admitted.
func TestStressStripesSpendNothingRefused(t *testing.T) {
	const workers, each, keys = 8, 3000, 4
	for seed := range uint64(5) {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		pool := make([]Limit, keys)
		var admitted [keys]atomic.Int64
		for i := range pool {
			pool[i] = Limit{Key: tenantKey(i), Rate: mustRate(t, 60, time.Minute, 1500*int64(i+1))}
			l.stripe(pool[i].Key)
		}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(w)))
				limits, out := make([]Limit, 2), make([]Status, 2)
				for range each {
					picked := rnd.Perm(keys)[:2]
					for i, p := range picked {
						limits[i] = pool[p]
					}
					cost := 1 + rnd.Int64N(3)
					if l.Take(clk.Now(), cost, limits, out) {
						for _, p := range picked {
							admitted[p].Add(cost)
						}
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

// Promise: only a bucket that several cores keep losing races for gets stripes, and only if it has enough for them; a sweep
// takes them away when nothing is left in them.
func TestStripesComeAndGo(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	rich, poor := mustRate(t, 1000, time.Second, 0), mustRate(t, 255, time.Second, 0)
	limits, out := one(rich), make([]Status, 1)
	l.Take(clk.Add(time.Second), 1, limits, out)
	c := l.find(&limits[0].Key)
	at := func() instant { return instantOf(clk.Now(), l.epoch) }
	c.contended(&rich, 0, at())
	clk.Add(time.Millisecond)
	c.contended(&rich, 0, at())
	if c.stripes.Load() != nil {
		t.Fatal("stripes after two races in a millisecond")
	}
	c.contended(&poor, 0, at())
	c.contended(&rich, rich.horizon, at())
	if c.stripes.Load() != nil {
		t.Fatal("stripes of what has not enough")
	}
	c.contended(&rich, 0, at())
	s := c.stripes.Load()
	if s == nil || len(s.list)&(len(s.list)-1) != 0 {
		t.Fatalf("%+v", s)
	}
	for range 10 {
		l.Take(clk.Now(), 1, limits, out)
	}
	if s.held(at()) == 0 {
		t.Error("nothing was charged ahead")
	}
	l.Sweep(clk.Now())
	if c.stripes.Load() != s {
		t.Error("the stripes are gone while something is in them")
	}
	l.Take(clk.Add(100*time.Millisecond), 1000, limits, out)
	if l.Sweep(clk.Now()); c.stripes.Load() != nil || l.Len() != 1 {
		t.Error("empty stripes are still there")
	}
	if _, _, done := l.settle(c, s, &rich, at(), 0, 1); done || s.charge(c, &s.list[0], &rich, at(), 1) {
		t.Error("stripes are of use that are not the bucket's any more")
	}
}

// Promise: a bucket that a jump of the clock or a change of rate has emptied is pardoned with stripes as without, and what
// they held is gone.
func TestStripesPardoned(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	r := mustRate(t, 1000, time.Second, 0)
	limits, out := one(r), make([]Status, 1)
	s := l.stripe(limits[0].Key)
	for range 100 {
		l.Take(clk.Now(), 1, limits, out)
	}
	now := clk.Add(-time.Hour)
	if s.held(instantOf(now, l.epoch)) == 0 {
		t.Fatal("nothing was charged ahead")
	}
	if l.Take(now, 1, limits, out) || s.held(instantOf(now, l.epoch)) != 0 {
		t.Error("something is left in stripes of a bucket that is empty")
	}
	admitted := int64(0)
	for range 3000 {
		if l.Take(clk.Add(time.Millisecond), 1, limits, out) {
			admitted++
		}
	}
	if admitted < 2900 || admitted > 3000+r.burst {
		t.Errorf("%d admitted in 3 s after the clock went back, of 1000 a second", admitted)
	}
}

// Promise: of a request that is taken back when time has passed, only what the time has not refilled is given back.
func TestStripesTakeBackLate(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	r := mustRate(t, 1000, time.Second, 0)
	limits, out := one(r), make([]Status, 1)
	for _, cost := range []int64{100, 3} { // from the bucket, and from a stripe
		s := l.stripe(limits[0].Key)
		at := instantOf(clk.Now(), l.epoch)
		b, ok := l.takeIn(0, clk.Now(), cost, &limits[0])
		clk.Add(time.Duration(cost) * time.Millisecond / 2)
		_, other := l.takeIn(1, clk.Now(), 100, &limits[0])
		if !ok || !other || s != l.stripe(limits[0].Key) {
			t.Fatal("refused")
		}
		l.rollBackRate(&limits[0], b, at, cost)
		if l.Take(clk.Now(), 0, limits, out); out[0].Remaining != 900 {
			t.Errorf("a cost of %d taken back: says %d remain of 900", cost, out[0].Remaining)
		}
		clk.Add(time.Second)
	}
}

// Promise: a request does not spend from a stretch that lies beyond its own rate's horizon.
func TestStripeBeyondHorizon(t *testing.T) {
	large, small := mustRate(t, 1000, time.Second, 1000), mustRate(t, 1000, time.Second, 500)
	st := &newStripes().list[0]
	st.open(instant(500*large.interval), 64*large.interval, 0)
	if ok, _ := st.spend(&small, 0, 1); ok {
		t.Error("a bucket of 500 has admitted the 501st at once")
	}
	if ok, _ := st.spend(&large, 0, 1); !ok {
		t.Error("a bucket of 1000 has not")
	}
}

// Promise: a word of a stripe says what stretch it is of, so that a spender never takes one for another.
func TestStripeWords(t *testing.T) {
	r := mustRate(t, 1000, time.Second, 0)
	s := newStripes()
	st := &s.list[0]
	if ok, _ := st.spend(&r, 0, 1); ok || st.left(0) != 0 {
		t.Error("a new stripe holds something")
	}
	seen := make(map[uint64]bool)
	for n := range 100 {
		st.open(1000, 3*r.interval, 0)
		word := st.word.Load()
		if seen[word] {
			t.Fatalf("stretch %d has a word of another", n)
		}
		seen[word] = true
		if left := st.left(0); left != 3*r.interval {
			t.Fatalf("%d left", left)
		}
		for i := range 4 {
			if ok, _ := st.spend(&r, 0, 1); ok != (i < 3) {
				t.Fatalf("request %d of 3: %v", i+1, ok)
			}
		}
		if gaps := s.empty(nil); len(gaps) != 1 || gaps[0].after(0) != 0 || st.left(0) != 0 {
			t.Fatalf("%v", gaps)
		}
	}
}
