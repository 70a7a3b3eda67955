package quota

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// someRates are the rates that tables and properties run over.
func someRates(t testing.TB) []Rate {
	return []Rate{
		mustRate(t, 1, time.Minute, 0),
		mustRate(t, 60, time.Minute, 20),
		mustRate(t, 60, time.Minute, 120),
		mustRate(t, 7, time.Second, 3),
		mustRate(t, 1, 24*time.Hour, 208),
		mustRate(t, 1000, time.Hour, 1),
		mustRate(t, 50_000, time.Second, 0),
		mustRate(t, 49_999, time.Second, 17),
		mustRate(t, 1_000_003, time.Second, 1000),
		mustRate(t, 3_000_000_000, time.Second, 5),
		mustRate(t, MaxRequests, time.Minute, 0),
		mustRate(t, MaxRequests, time.Second, 1),
		mustRate(t, MaxRequests, 24*time.Hour, MaxRequests),
	}
}

// Promise: the interval is rounded up, never down, and by less than a tick: the rate granted is never above the rate
// configured, and below it by a share of at most rate × 2^-8 ns.
func TestIntervalRounding(t *testing.T) {
	for _, r := range someRates(t) {
		ticks := new(big.Int).Lsh(big.NewInt(int64(r.period)), tickShift)
		product := new(big.Int).Mul(big.NewInt(int64(r.interval)), big.NewInt(r.requests))
		if excess := product.Sub(product, ticks); excess.Sign() < 0 || excess.Cmp(big.NewInt(r.requests)) >= 0 {
			t.Errorf("%v: interval of %d ticks", r, r.interval)
		}
	}
	for _, tc := range []struct {
		rate Rate
		want span
	}{
		{mustRate(t, 60, time.Minute, 0), 1e9 << tickShift},
		{mustRate(t, 50_000, time.Second, 0), 20_000 << tickShift},
		{mustRate(t, 7, time.Second, 0), 36571428572}, // 36571428571.4
		{mustRate(t, MaxRequests, time.Minute, 0), 1}, // 0.0017
	} {
		if tc.rate.interval != tc.want {
			t.Errorf("%v: interval of %d ticks, want %d", tc.rate, tc.rate.interval, tc.want)
		}
	}
}

// Promise: from a full bucket exactly the burst passes at once, whatever the rounding, and after one interval one more.
func TestBurstIsExact(t *testing.T) {
	for _, r := range someRates(t) {
		now := instant(12345)
		if !r.fits(0, r.burst) || r.fits(0, r.burst+1) {
			t.Errorf("%v: a full bucket must have room for the burst and no more", r)
		}
		tat := r.after(0, now, r.burst)
		if r.fits(debtOf(tat, now), 1) {
			t.Errorf("%v: room in an empty bucket", r)
		}
		if later := now + instant(r.interval); !r.fits(debtOf(tat, later), 1) || r.fits(debtOf(tat, later-1), 1) {
			t.Errorf("%v: one more must pass after one interval, and not before", r)
		}
		if full := now + instant(r.horizon); debtOf(tat, full) != 0 || debtOf(tat, full-1) != 1 {
			t.Errorf("%v: the bucket must be full after the horizon", r)
		}
	}
}

// Promise: all of a status can be read off a table.
func TestStatus(t *testing.T) {
	const s = span(1e9) << tickShift // one second
	free := mustRate(t, 60, time.Minute, 20)
	for _, tc := range []struct {
		name string
		debt span
		cost int64
		want Status
	}{
		{"full", 0, 1, Status{Remaining: 20}},
		{"one spent", s, 1, Status{Remaining: 19, Next: time.Second, Reset: time.Second}},
		{"half refilled", s / 2, 1, Status{Remaining: 19, Next: time.Second / 2, Reset: time.Second / 2}},
		{"twelve left", 8 * s, 1, Status{Remaining: 12, Next: time.Second, Reset: 8 * time.Second}},
		{"one left", 19 * s, 1, Status{Remaining: 1, Next: time.Second, Reset: 19 * time.Second}},
		{"one tick short", 19*s + 1, 1, Status{Next: 1, Reset: 19*time.Second + 1, RetryAfter: 1, Exceeded: true}},
		{"empty", 20 * s, 1, Status{Next: time.Second, Reset: 20 * time.Second, RetryAfter: time.Second, Exceeded: true}},
		{"cost", 18 * s, 5, Status{Remaining: 2, Next: time.Second, Reset: 18 * time.Second, RetryAfter: 3 * time.Second, Exceeded: true}},
		{"cost of the burst", 0, 20, Status{Remaining: 20}},
		{"cost above the burst", 0, 21, Status{Remaining: 20, RetryAfter: Never, Exceeded: true}},
		{"beyond the horizon", 25 * s, 1, Status{Next: 6 * time.Second, Reset: 25 * time.Second, RetryAfter: 6 * time.Second, Exceeded: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got Status
			if free.fits(tc.debt, tc.cost) {
				free.status(tc.debt, &got)
			} else {
				free.refusal(tc.debt, tc.cost, &got)
			}
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// Promise: nothing overflows at the farthest debt: waits are long, never negative.
func TestFarthestDebt(t *testing.T) {
	for _, r := range someRates(t) {
		for _, tat := range []instant{1 << 63, 1<<63 - 1, 1<<62 + 1, dead} {
			d := debtOf(tat, 0)
			var s Status
			r.refusal(d, r.burst, &s)
			if d < 0 || s.Remaining < 0 || s.Next < 0 || s.Reset < 0 || s.RetryAfter < 0 {
				t.Errorf("%v: debt %d gives %+v", r, d, s)
			}
		}
	}
}

// Promise: time may wrap around: what matters is only how far two instants are apart.
func TestWrapAround(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	now := dead - instant(r.interval)/2
	tat := r.after(0, now, 20)
	if tat > now {
		t.Fatal("the TAT did not wrap; the test is wrong")
	}
	if d := debtOf(tat, now); d != r.horizon || r.fits(d, 1) {
		t.Errorf("debt %d, want %d", d, r.horizon)
	}
	if d := debtOf(tat, now+instant(r.interval)); !r.fits(d, 1) {
		t.Error("no room after one interval, across the wrap")
	}
}

// Promise: the word's arithmetic decides, counts and predicts exactly as a token bucket in exact fractions does, over
// random schedules; and never is more admitted in any stretch of time than burst plus configured rate times stretch.
func TestAgainstModel(t *testing.T) {
	for _, r := range someRates(t) {
		t.Run(r.String(), func(t *testing.T) {
			for seed := range uint64(20) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				checkSchedule(t, r, func() (time.Duration, int64, bool) {
					return randomStep(rnd, r), randomCost(rnd, r), rnd.IntN(150) > 0
				})
			}
		})
	}
}

// randomStep is nothing, a bit, around an interval, or long.
func randomStep(rnd *rand.Rand, r Rate) time.Duration {
	interval := int64(r.interval.duration())
	switch rnd.IntN(5) {
	case 0:
		return 0
	case 1:
		return time.Duration(rnd.Int64N(interval/4 + 2))
	case 2:
		return time.Duration(interval)
	case 3:
		return time.Duration(rnd.Int64N(3*interval + 2))
	}
	return time.Duration(rnd.Int64N(int64(r.horizon.duration())/4 + 1))
}

// randomCost is mostly 1, sometimes a part of the burst, rarely more than it.
func randomCost(rnd *rand.Rand, r Rate) int64 {
	switch rnd.IntN(8) {
	case 0:
		return 1 + rnd.Int64N(r.burst)
	case 1:
		return r.burst + rnd.Int64N(2)
	case 2:
		return 0
	}
	return 1
}

// checkSchedule runs a schedule through a Local and through the model.
func checkSchedule(t testing.TB, r Rate, next func() (time.Duration, int64, bool)) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	model := newBucketModel(r, clk.Now())
	limits, out := one(r), make([]Status, 1)
	var log []admission
	for {
		step, cost, more := next()
		if !more {
			break
		}
		now := clk.Add(step)
		allowed := l.Take(now, cost, limits, out)
		want, wantAllowed := model.take(now, cost)
		if allowed != wantAllowed || out[0] != want {
			t.Fatalf("cost %d at %v: %v %+v\nwant %v %+v", cost, now, allowed, out[0], wantAllowed, want)
		}
		if allowed && cost > 0 {
			log = append(log, admission{now, cost})
		}
		if out[0].Exceeded && out[0].RetryAfter > 0 {
			checkRetry(t, l, now, cost, limits, out[0])
		}
	}
	if err := exceedsLimit(r, log); err != nil {
		t.Fatal(err)
	}
}

// checkRetry checks that waiting for RetryAfter would have been enough and a microsecond less not, by reading only.
func checkRetry(t testing.TB, l *Local, now time.Time, cost int64, limits []Limit, refused Status) {
	t.Helper()
	var s [1]Status
	l.Take(now.Add(refused.RetryAfter), 0, limits, s[:])
	if s[0].Remaining < cost {
		t.Fatalf("%d remain after waiting for %v, not %d", s[0].Remaining, refused.RetryAfter, cost)
	}
	l.Take(now.Add(refused.RetryAfter-1), 0, limits, s[:])
	if s[0].Remaining >= cost {
		t.Fatalf("%d remain a nanosecond before RetryAfter (%v) has passed", s[0].Remaining, refused.RetryAfter)
	}
}

// Promise: a client that takes whatever it can get gets what the limit promises, to within the rounding: nothing is
// lost over time, from 1 a minute to 50,000 a second.
func TestGrantsWhatIsConfigured(t *testing.T) {
	for _, tc := range []struct {
		rate    Rate
		elapsed time.Duration
	}{
		{mustRate(t, 1, time.Minute, 0), 24 * time.Hour},
		{mustRate(t, 60, time.Minute, 20), time.Hour},
		{mustRate(t, 7, time.Second, 3), time.Hour},
		{mustRate(t, 50_000, time.Second, 0), 5 * time.Second},
		{mustRate(t, 49_999, time.Second, 100), 5 * time.Second},
	} {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limits, out := one(tc.rate), make([]Status, 1)
		start, now := clk.Now(), clk.Now()
		admitted := int64(0)
		for now.Sub(start) <= tc.elapsed {
			if l.Take(now, 1, limits, out) {
				admitted++
			} else {
				now = clk.Add(out[0].RetryAfter)
			}
		}
		want := tc.rate.burst + int64(tc.elapsed/time.Second)*tc.rate.requests/int64(tc.rate.period/time.Second)
		if admitted > want || float64(admitted) < 0.99999*float64(want)-1 {
			t.Errorf("%v: %d admitted in %v, want %d", tc.rate, admitted, tc.elapsed, want)
		}
	}
}
