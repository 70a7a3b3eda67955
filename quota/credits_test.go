package quota

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// credit gives all accounts and all counts of concurrency credits, as contention does.
func (l *Local) credit() {
	give := func(c *tally, least int64) {
		if c.credits.Load() == nil {
			c.credits.CompareAndSwap(nil, newCredits(least))
		}
	}
	l.ledger.accounts.Range(func(a *account) bool { give(&a.count, leastCount); return true })
	l.flights.Range(func(c *flight) bool { give(&c.tally, 0); return true })
}

// onCredit is what cores hold of everything, in how many accounts and counts.
func (l *Local) onCredit() (sum int64, tallies int) {
	add := func(c *tally) {
		if s := c.credits.Load(); s != nil {
			sum += s.held()
			tallies++
		}
	}
	l.ledger.accounts.Range(func(a *account) bool { add(&a.count); return true })
	l.flights.Range(func(c *flight) bool { add(&c.tally); return true })
	return sum, tallies
}

// creditCounts returns limits that are no rates, with room for credits in most of them.
func creditCounts(rnd *rand.Rand) []Limit {
	limits := randomCounts(rnd)
	for i := range limits {
		if l := &limits[i]; l.Concurrent > 0 {
			l.Concurrent += rnd.Int64N(2) * 2000
		} else if l.Allowance.Max > 0 {
			l.Allowance.Max *= 1 + rnd.Int64N(2)*2000
		}
	}
	return limits
}

// Promise: with cores that hold something ahead of need everywhere, allowances and concurrency decide exactly as an obvious
// model does, whoever spends and gives back, when Max changes, across midnights and months, with sweeps in between, and when
// the clock jumps to and fro. Who reads is told exactly what is left, and who spends never more.
func TestCreditsAgainstModel(t *testing.T) {
	mostHeld := int64(0)
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 41))
		clk := &clock{now: time.Date(2027, time.Month(1+rnd.IntN(12)), 27, rnd.IntN(24), 0, 0, rnd.IntN(1e9), time.UTC)}
		l, model := NewLocal(LocalOptions{Now: clk.Now}), newCountModel()
		var open [][]Limit
		for step := range 600 {
			now := clk.Add(time.Duration(rnd.IntN(1000)) * time.Second)
			switch rnd.IntN(25) {
			case 0:
				now = clk.Add(time.Duration(rnd.IntN(48)) * time.Hour)
			case 1:
				now = clk.Add(-time.Duration(rnd.IntN(36)) * time.Hour)
			case 2:
				l.Sweep(now)
			default:
				l.credit()
			}
			for range rnd.IntN(4) {
				lane.Move()
			}
			if len(open) > 0 && rnd.IntN(2) == 0 {
				i := rnd.IntN(len(open))
				l.Release(open[i])
				for _, limit := range open[i] {
					if limit.Concurrent > 0 {
						model.inFlight[limit.Key]--
					}
				}
				open = append(open[:i], open[i+1:]...)
			}
			limits := creditCounts(rnd)
			cost := rnd.Int64N(4)
			if rnd.IntN(10) == 0 {
				cost = rnd.Int64N(2000)
			}
			got, want := make([]Status, len(limits)), make([]Status, len(limits))
			allowed, wanted := l.Take(now, cost, limits, got), model.take(now, cost, limits, want)
			held, _ := l.onCredit()
			mostHeld = max(mostHeld, held)
			for i := range got {
				if cost > 0 && got[i].Remaining <= want[i].Remaining {
					got[i].Remaining, got[i].Next, got[i].Reset = want[i].Remaining, want[i].Next, want[i].Reset // see the read below
				}
			}
			if allowed != wanted || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, step %d, %v, cost %d of %+v:\ngot  %v %+v\nwant %v %+v", seed, step, now, cost, limits, allowed, got, wanted, want)
			}
			switch {
			case !allowed || cost < 1:
			case rnd.IntN(8) == 0:
				l.Refund(now, cost, limits)
				l.Release(limits)
				model.giveBack(now, cost, limits)
			default:
				open = append(open, limits)
			}
			l.Take(now, 0, limits, got)
			if model.take(now, 0, limits, want); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, step %d, %v, read of %+v:\ngot  %+v\nwant %+v", seed, step, now, limits, got, want)
			}
		}
		for _, limits := range open {
			l.Release(limits)
		}
		l.flights.Range(func(c *flight) bool {
			if c.inFlight() != 0 {
				t.Errorf("seed %d: %d in flight at the end", seed, c.inFlight())
			}
			return true
		})
	}
	if mostHeld < 100 {
		t.Errorf("at most %d were on credit", mostHeld)
	}
}

// giveBack is the model's Refund and Release: shadow limits are not refunded, unless their Key has another limit.
func (m *countModel) giveBack(now time.Time, cost int64, limits []Limit) {
	counted := make(map[Key]bool)
	for _, l := range limits {
		if !l.Allowance.IsZero() && !counted[l.Key] {
			if counted[l.Key] = true; !l.Shadow {
				for _, p := range []Period{PeriodDay, PeriodMonth} {
					m.spent[counter(l.Key, p, now)] -= cost
				}
			}
		}
		if l.Concurrent > 0 {
			m.inFlight[l.Key]--
		}
	}
}

// Promise: with cores that hold something ahead of need, 80 % and 100 % are told once each, by the request that comes there
// and with what is used then; shadow limits say so from the first request on that is too many.
func TestCreditsWarnInTime(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 42))
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limit := Limit{Key: tenantKey(1), Allowance: Allowance{5_000 + rnd.Int64N(30_000), PeriodMonth}, Shadow: true}
		limits, out := []Limit{limit}, make([]Status, 1)
		most, used, held := limit.Allowance.Max, int64(0), int64(0)
		marks := map[int64]int{most - most/5: 80, most: 100}
		for used < most+1000 {
			l.credit()
			lane.Move()
			cost := 1 + rnd.Int64N(9)
			l.Take(clk.Now(), cost, limits, out)
			credit, _ := l.onCredit()
			held = max(held, credit)
			before := used
			used += cost
			if out[0].Exceeded != (used > most) {
				t.Fatalf("%d of %d: %+v", used, most, out[0])
			}
			for mark, percent := range marks {
				if before < mark && used >= mark {
					select {
					case w := <-l.ledger.warnings:
						if w.Percent != percent || w.Used != used {
							t.Fatalf("%d of %d: %+v", used, most, w)
						}
					default:
						t.Fatalf("%d of %d: nothing was told", used, most)
					}
				}
			}
			if len(l.ledger.warnings) > 0 {
				t.Fatalf("%d of %d: %+v", used, most, <-l.ledger.warnings)
			}
		}
		if held < 50 {
			t.Errorf("at most %d were on credit", held)
		}
	}
}

// Promise: many cores at once that ask for more than there is are admitted to the last request and not one more, with credits
// and requests that are taken back or refunded all the while; concurrency lets never more in; and what is recorded in the
// end, with flushes and sweeps all the while, is what was admitted, to the request.
func TestStressCredits(t *testing.T) {
	const workers, most, slots = 8, 60_000, 2000
	b := newBook()
	p := page{b, "node"}
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now, Usage: UsageOptions{Source: p, Sink: p, LoadTimeout: time.Minute}})
	l.ledger.down.Store(true)
	shared, other := tenantKey(1), tenantKey(2)
	plain := []Limit{{Key: shared, Allowance: Allowance{most, PeriodMonth}}, {Key: shared, Concurrent: slots}}
	mixed := []Limit{{Key: shared, Allowance: Allowance{most, PeriodMonth}}, {Key: shared, Concurrent: slots}, {Key: other, Concurrent: 1}}
	var (
		admitted, inFlight atomic.Int64
		stop               atomic.Bool
		others, spenders   sync.WaitGroup
	)
	others.Go(func() {
		for !stop.Load() {
			l.credit()
			if err := l.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			l.Sweep(clk.Now())
		}
	})
	for w := range workers {
		spenders.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 43))
			out := make([]Status, 3)
			var open [][]Limit
			release := func() {
				inFlight.Add(-1)
				l.Release(open[0])
				open = open[1:]
			}
			for refused := 0; refused < 200; {
				limits := plain
				if rnd.IntN(4) == 0 {
					limits = mixed
				}
				if len(open) > 20 {
					release()
				}
				switch {
				case !l.Take(clk.Now(), 1, limits, out[:len(limits)]):
					if out[0].Exceeded {
						refused++
					}
				case rnd.IntN(10) == 0:
					l.Refund(clk.Now(), 1, limits)
					l.Release(limits)
				default:
					admitted.Add(1)
					if n := inFlight.Add(1); n > slots {
						t.Errorf("%d in flight", n)
					}
					open = append(open, limits)
				}
			}
			for len(open) > 0 {
				release()
			}
		})
	}
	spenders.Wait()
	stop.Store(true)
	others.Wait()
	out := make([]Status, 2)
	for l.Take(clk.Now(), 1, plain, out) { // what a refund gave back after the last had been refused
		admitted.Add(1)
		l.Release(plain)
	}
	if n := admitted.Load(); n != most {
		t.Errorf("%d admitted of %d", n, most)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.total(shared, clk.Now()); got != most {
		t.Errorf("%d recorded of %d", got, most)
	}
	if l.Take(clk.Now(), 0, plain, out); out[1].Remaining != slots {
		t.Errorf("%d slots of %d are free at the end", out[1].Remaining, slots)
	}
}

// Promise: many cores at once fill concurrency to the last slot and not one more, whoever gives slots back.
func TestStressCreditSlots(t *testing.T) {
	const workers, slots = 8, 3000
	l := NewLocal(LocalOptions{})
	limits := []Limit{{Key: tenantKey(1), Concurrent: slots}}
	for round := range 5 {
		var inside atomic.Int64
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), uint64(round)))
				out := make([]Status, 1)
				for {
					if w == 0 && rnd.IntN(10) == 0 {
						l.credit()
					}
					if !l.Take(time.Now(), 1, limits, out) {
						return
					}
					if n := inside.Add(1); n > slots {
						t.Errorf("%d inside", n)
					}
					if rnd.IntN(3) == 0 {
						inside.Add(-1)
						l.Release(limits)
					}
				}
			})
		}
		wg.Wait()
		out := make([]Status, 1)
		for l.Take(time.Now(), 1, limits, out) { // what was given back after the last had been refused
			inside.Add(1)
		}
		if n := inside.Load(); n != slots {
			t.Fatalf("round %d: %d inside of %d", round, n, slots)
		}
		for range slots {
			l.Release(limits)
		}
	}
}

// Promise: only what cores keep losing races for gets credits, and only if there is enough room for them; a sweep takes them
// away from what is idle, and nothing is lost by that.
func TestCreditsComeAndGo(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits := []Limit{
		{Key: tenantKey(1), Allowance: Allowance{100_000, PeriodDay}},
		{Key: tenantKey(1), Concurrent: 100_000},
	}
	out := make([]Status, 2)
	l.Take(clk.Add(time.Second), 1, limits, out)
	at := func() instant { return instantOf(clk.Now(), l.epoch) }
	a, seat := l.ledger.find(&limits[0].Key, dayOf(clk.Now())), l.flights.find(&limits[1].Key)
	for c, lost := range map[*tally]*losses{&a.count: &a.lost, &seat.tally: &seat.lost} {
		c.contended(lost, 100_000, 0, at())
		clk.Add(time.Millisecond)
		c.contended(lost, 100_000, 0, at())
		if c.credits.Load() != nil {
			t.Fatal("credits after two races in a millisecond")
		}
		c.contended(lost, 255, 0, at())
		if c.credits.Load() != nil {
			t.Fatal("credits of what has not enough")
		}
		c.contended(lost, 256, 0, at())
		if s := c.credits.Load(); s == nil || len(s.list)&(len(s.list)-1) != 0 {
			t.Fatalf("%+v", s)
		}
	}
	for range 10 {
		lane.Move()
		l.Take(clk.Now(), 1, limits, out)
		l.Release(limits)
	}
	if held, n := l.onCredit(); held == 0 || n != 2 {
		t.Errorf("%d on credit in %d counts", held, n)
	}
	l.Sweep(clk.Now())
	if _, n := l.onCredit(); n != 2 {
		t.Error("credits are gone of what has changed since the last sweep")
	}
	l.Sweep(clk.Add(time.Minute))
	if _, n := l.onCredit(); n != 1 {
		t.Errorf("%d counts have credits, want only that of who is in flight", n)
	}
	l.Release(limits)
	l.Sweep(clk.Now())
	if _, n := l.onCredit(); n != 0 || l.Len() != 1 {
		t.Errorf("%d counts have credits, %d are there", n, l.Len())
	}
	if l.Take(clk.Now(), 0, limits, out); out[0].Remaining != 100_000-11 || out[1].Remaining != 100_000 {
		t.Errorf("%+v", out)
	}
}

// Promise: whichever comes first, a spend or an eviction, with credits nothing is spent from what is no more, and nothing is
// evicted that was spent from.
func TestCreditsEviction(t *testing.T) {
	for _, late := range []bool{false, true} {
		var c tally
		c.credits.Store(newCredits(0))
		s := c.credits.Load()
		mine := lane.Number(1 << 31)
		for range 5 {
			if _, end := c.raise(s, &mine, 1, 100_000, 100_000); end != raised {
				t.Fatal(end)
			}
		}
		if c.top() == 5 || c.Load() != 5 {
			t.Fatalf("%d, %d on credit", c.Load(), c.top()-5)
		}
		seen := c.Load()
		if late {
			c.raise(s, &mine, 1, 100_000, 100_000)
		}
		if c.kill(seen) == late {
			t.Fatal("evicted after a spend, or not without one")
		}
		other := mine + 1
		for _, lane := range []*lane.Number{&mine, &other} {
			for _, credits := range []*credits{s, c.credits.Load()} {
				want := evicted
				if late {
					want = raised
				}
				if _, end := c.raise(credits, lane, 1, 100_000, 100_000); end != want {
					t.Errorf("late %v: %v, want %v", late, end, want)
				}
			}
		}
		for at := range instant(3) {
			c.contended(new(losses), 100_000, 0, at)
		}
		if !late && (c.lower(&mine, 1, 0) != evicted || c.Load() != deadCount || c.settle() != deadCount || c.credits.Load() != sealed) {
			t.Error("what was evicted is of use")
		}
		if late && c.Load() != 10 {
			t.Errorf("%d, want 10", c.Load())
		}
	}
}

// Promise: what comes back that was never taken is forgotten, and no more pass for it than there may be.
func TestCreditsNeverBelow(t *testing.T) {
	l := NewLocal(LocalOptions{})
	limits, out := []Limit{{Key: tenantKey(1), Concurrent: 1000}}, make([]Status, 1)
	l.Take(time.Now(), 1, limits, out)
	l.credit()
	l.Take(time.Now(), 1, limits, out) // now its core holds something
	for range 50 {
		l.Release(limits)
	}
	l.flights.find(&limits[0].Key).settle()
	passed := 0
	for l.Take(time.Now(), 1, limits, out) {
		passed++
	}
	if passed != 1000 {
		t.Errorf("%d passed of 1000", passed)
	}
}

// Promise: of a few hundred requests to a contended tenant, whichever cores they come from, one changes the word of its
// allowance that all cores share; and where slots come and go, none does.
func TestCreditsSpareTheWord(t *testing.T) {
	const requests = 50_000
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	now := clk.Now()
	limits := []Limit{{Key: tenantKey(1), Allowance: Allowance{1 << 40, PeriodMonth}}, {Key: tenantKey(1), Concurrent: 100_000}}
	l.Take(now, 1, limits, make([]Status, 2))
	l.credit()
	a, seat := l.ledger.find(&limits[0].Key, dayOf(now)), l.flights.find(&limits[1].Key)
	counted, slots := 0, 0
	for i := range requests {
		take := &take{now: now, at: instantOf(now, l.epoch), day: dayOf(now), cost: 1, limits: limits, lane: lane.Number(i%8) | 1<<31}
		before, seats := a.count.top(), seat.top()
		if !l.ledger.spend(take, 0, &charge{acct: a}) {
			t.Fatal("refused")
		}
		if _, ok := l.flights.enter(take, seat, &limits[1]); !ok {
			t.Fatal("refused")
		}
		l.flights.leave(&limits[1].Key, &take.lane)
		if a.count.top() != before {
			counted++
		}
		if seat.top() != seats {
			slots++
		}
	}
	if counted > requests/200 || slots > len(seat.credits.Load().list) {
		t.Errorf("%d requests changed the word of the allowance %d times, that of the slots %d times", requests, counted, slots)
	}
	if a.count.Load() != requests+1 || seat.Load() != 1 {
		t.Errorf("%d counted, %d in flight", a.count.Load(), seat.Load())
	}
}
