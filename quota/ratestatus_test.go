package quota

import (
	"math/rand/v2"
	"testing"
	"time"
)

// statusOf is what Status fills in.
func statusOf(r Rate, debt time.Duration, held int64) (s Status) {
	r.Status(debt, held, &s)
	return s
}

// Promise: what a store says of a bucket that it keeps elsewhere is what Local says of the same bucket, and what is on
// lease counts as not spent.
func TestRateStatus(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 3))
	for _, r := range someRates(t) {
		for range 200 { // Reset is rounded up to a nanosecond, in which several requests of a high rate are refilled
			clk := newClock()
			l, limits, out := NewLocal(LocalOptions{Now: clk.Now}), one(r), make([]Status, 1)
			spent := rnd.Int64N(min(r.burst, 1000)) + 1
			l.Take(clk.Now(), spent, limits, out)
			now := clk.Add(randomStep(rnd, r))
			l.Take(now, 0, limits, out)
			if got := statusOf(r, out[0].Reset, 0); got.Remaining > out[0].Remaining || got.Remaining < out[0].Remaining-1-r.requests/int64(r.period) || got.Reset != out[0].Reset {
				t.Fatalf("%v: %+v, want %+v", r, got, out[0])
			}
			if got := statusOf(r, out[0].Reset, r.burst); got.Reset > 1 { // Reset was rounded up to whole nanoseconds
				t.Fatalf("%v with all on lease: %+v", r, got)
			}
			cost := rnd.Int64N(r.burst) + 1
			wait := r.RetryAfter(out[0].Reset, cost)
			if !l.Take(clk.Add(wait), cost, limits, out) {
				t.Fatalf("%v: %d do not fit after %v", r, cost, wait)
			}
		}
		if r.RetryAfter(0, r.burst+1) != Never || r.RetryAfter(0, r.burst) != 0 {
			t.Errorf("%v: %v, %v", r, r.RetryAfter(0, r.burst+1), r.RetryAfter(0, r.burst))
		}
		if got := statusOf(r, 1<<63-1, 0); got.Remaining != 0 || got.Reset <= 0 {
			t.Errorf("%v: %+v", r, got)
		}
	}
	if got := statusOf(Rate{}, time.Hour, 0); got.Remaining != MaxRequests {
		t.Errorf("%+v", got)
	}
}
