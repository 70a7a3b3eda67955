package quota

import (
	"math/rand/v2"
	"testing"
	"time"
)

// drain takes one after the other until a request is refused, and returns how many passed.
func drain(s Store, now time.Time, limits []Limit) int {
	out := make([]Status, len(limits))
	n := 0
	for s.Take(now, 1, limits, out) {
		n++
	}
	return n
}

// Promise: when the clock goes back, nobody gets more than a burst out of it, and nobody is locked out for longer
// than an empty bucket takes to fill.
func TestClockGoesBack(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	for _, back := range []time.Duration{
		time.Nanosecond, time.Second, 20 * time.Second, time.Hour, 1000 * time.Hour, 50 * 365 * 24 * time.Hour, 1<<63 - 1,
	} {
		t.Run(back.String(), func(t *testing.T) {
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			limits, out := one(r), make([]Status, 1)
			clk.Add(time.Hour)
			if n := drain(l, clk.Now(), limits); n != 20 {
				t.Fatalf("%d passed", n)
			}
			now := clk.Add(-back)
			// Beyond the range of an instant the bucket may be taken for one that nobody touched: a burst.
			if n := drain(l, now, limits); n > 0 && (back < 400*24*time.Hour || n > 20) {
				t.Errorf("%d passed a bucket that was empty before the clock went back", n)
			}
			l.Take(now, 1, limits, out)
			if limit := time.Second + min(back, 20*time.Second); out[0].RetryAfter > limit {
				t.Errorf("must wait %v, more than %v", out[0].RetryAfter, limit)
			}
			now = clk.Add(20*time.Second + time.Second)
			if !l.Take(now, 1, limits, out) {
				t.Errorf("still locked out: %+v", out[0])
			}
			if n := drain(l, now, limits); n > 20 {
				t.Errorf("%d passed", n)
			}
		})
	}
}

// Promise: a clock that went back locks no newcomer out either, whether or not a sweep came before.
func TestClockGoesBackForNewcomers(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	l.Sweep(clk.Add(time.Hour))
	for _, back := range []time.Duration{time.Second, time.Hour, 1000 * time.Hour} {
		if n := drain(l, clk.Add(-back), []Limit{{Key: tenantKey(int(back)), Rate: r}}); n != 20 {
			t.Errorf("%v back: %d passed", back, n)
		}
	}
}

// Promise: a clock that jumps to and fro lets pass at most twice what really elapsed time allows, and a burst.
func TestClockToAndFro(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits := one(r)
	total := drain(l, clk.Now(), limits)
	for range 100 {
		total += drain(l, clk.Add(time.Minute), limits)
		total += drain(l, clk.Add(-time.Minute), limits)
	}
	// The clock stands where it was: one burst at first, one for the first jump ahead, one more after the pardon.
	if total > 3*20 {
		t.Errorf("%d passed while no time passed", total)
	}
}

// Promise: no clock makes Take panic, or pass more than a burst at a time.
func TestWildClock(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	for i := range 20_000 {
		now := clk.Add(time.Duration(rnd.Uint64()) >> rnd.IntN(60))
		switch i % 100 {
		case 1:
			now = time.Time{}
		case 2:
			now = time.Unix(1<<62, 0)
		case 3:
			l.Sweep(now)
		}
		limits := []Limit{{Key: tenantKey(i % 7), Rate: mustRate(t, 60, time.Minute, 20)}}
		if n := drain(l, now, limits); n > 20 {
			t.Fatalf("%d passed at once", n)
		}
	}
}

// Promise: requests whose now is older than that of others before them take nothing extra: the total stays within
// burst plus rate times the time between the oldest and the newest.
func TestRequestsOutOfOrder(t *testing.T) {
	r := mustRate(t, 600, time.Minute, 20)
	rnd := rand.New(rand.NewPCG(1, 1))
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits, out := one(r), make([]Status, 1)
	start := clk.Now()
	oldest, newest, admitted := start, start, int64(0)
	for i := range 20_000 {
		clk.Add(time.Duration(rnd.IntN(1000)) * time.Microsecond)
		now := clk.Now().Add(-time.Duration(rnd.IntN(500)) * time.Millisecond)
		if now.Before(oldest) {
			oldest = now
		}
		if now.After(newest) {
			newest = now
		}
		if l.Take(now, 1, limits, out) {
			admitted++
		}
		if i%1000 == 0 { // as Run would: between requests, by the present
			l.Sweep(clk.Now())
		}
	}
	allowed := 20 + int64(newest.Sub(oldest)/(100*time.Millisecond))
	if admitted > allowed || admitted < allowed*8/10 {
		t.Errorf("%d passed, want at most %d and not much less", admitted, allowed)
	}
}

// Promise: a bucket that is swept while it is full comes back full and not fuller: a request that is older than the
// sweep does not get what was spent before the sweep a second time.
func TestOldRequestAfterSweep(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits := one(r)
	old := clk.Now()
	if n := drain(l, old, limits); n != 20 {
		t.Fatalf("%d passed", n)
	}
	if n := l.Sweep(clk.Add(20 * time.Second)); n != 1 {
		t.Fatalf("%d swept", n)
	}
	if n := drain(l, old, limits); n != 0 {
		t.Errorf("%d passed 20 s ago, in a bucket that was empty then", n)
	}
	if n := drain(l, old.Add(5*time.Second), limits); n != 5 {
		t.Errorf("%d passed 15 s ago, in a bucket with 5 then", n)
	}
	if n := drain(l, clk.Now(), limits); n != 15 {
		t.Errorf("%d pass now", n)
	}
}
