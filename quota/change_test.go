package quota

import (
	"testing"
	"time"
)

// Promise: when the rate of a key changes (another plan), what was spent stays spent: as time until the bucket is
// full, up to a full bucket of the new rate.
func TestRateChange(t *testing.T) {
	for _, tc := range []struct {
		name     string
		old, new Rate
		spend    int64
		want     int64 // remaining under the new rate
		wait     time.Duration
	}{
		{"ten times more", mustRate(t, 60, time.Minute, 0), mustRate(t, 600, time.Minute, 0), 30, 300, 0},
		{"ten times less", mustRate(t, 600, time.Minute, 0), mustRate(t, 60, time.Minute, 0), 300, 30, 0},
		{"all spent, more", mustRate(t, 60, time.Minute, 0), mustRate(t, 600, time.Minute, 0), 60, 0, 100 * time.Millisecond},
		{"all spent, less", mustRate(t, 600, time.Minute, 0), mustRate(t, 60, time.Minute, 0), 600, 0, time.Second},
		{"larger burst", mustRate(t, 60, time.Minute, 20), mustRate(t, 60, time.Minute, 40), 20, 20, 0},
		{"smaller burst", mustRate(t, 60, time.Minute, 40), mustRate(t, 60, time.Minute, 20), 30, 0, time.Second},
		{"smaller burst, little spent", mustRate(t, 60, time.Minute, 40), mustRate(t, 60, time.Minute, 20), 5, 15, 0},
		{"a day's debt", mustRate(t, 1000, 24*time.Hour, 0), mustRate(t, 60, time.Minute, 20), 1000, 0, time.Second},
		{"to the largest", mustRate(t, 1, 24*time.Hour, 208), mustRate(t, MaxRequests, time.Minute, 1), 208, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			out := make([]Status, 1)
			if !l.Take(clk.Now(), tc.spend, one(tc.old), out) {
				t.Fatal("refused")
			}
			allowed := l.Take(clk.Now(), 1, one(tc.new), out)
			if tc.want == 0 {
				if allowed || out[0].Remaining != 0 || out[0].RetryAfter != tc.wait {
					t.Fatalf("%v %+v, want a wait of %v", allowed, out[0], tc.wait)
				}
				if now := clk.Add(out[0].RetryAfter); !l.Take(now, 1, one(tc.new), out) {
					t.Fatalf("refused after RetryAfter: %+v", out[0])
				}
				return
			}
			if !allowed || out[0].Remaining != tc.want-1 {
				t.Fatalf("%v %+v, want %d remaining", allowed, out[0], tc.want-1)
			}
		})
	}
}

// Promise: requests that alternate between an old rate and a new one (two environments of a tenant, of which one was
// resolved before the change) pass at most twice what the larger rate allows, and never without bound.
func TestAlternatingRates(t *testing.T) {
	large, small := mustRate(t, 1000, time.Minute, 0), mustRate(t, 1, time.Second, 1)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	out := make([]Status, 1)
	admitted := 0
	for range 600_000 { // ten minutes, 1000 requests a second
		now := clk.Add(time.Millisecond)
		for _, r := range []Rate{large, small} {
			if l.Take(now, 1, one(r), out) {
				admitted++
			}
		}
	}
	if limit := 1000 + 2*10*1000 + 1000; admitted > limit {
		t.Errorf("%d passed, more than %d", admitted, limit)
	}
}

// Promise: who lost a race at a later limit gets back what it spent at an earlier one, except what may have been
// refilled since: so nothing is granted twice, however long the loser was held up.
func TestRollBackAfterTimeHasPassed(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	for _, tc := range []struct {
		late time.Duration // how long after its own now the loser takes back
		want time.Duration // the bucket's debt then, with nobody else about
	}{
		{0, 0},
		{time.Microsecond, time.Microsecond},
		{400 * time.Millisecond, 400 * time.Millisecond},
		{time.Second, time.Second},
		{time.Hour, time.Second},
		{-time.Hour, 0}, // the clock went back meanwhile
	} {
		t.Run(tc.late.String(), func(t *testing.T) {
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			limits := one(r)
			at := instantOf(clk.Now(), l.epoch)
			b := []bucket{{}}
			if !l.spendRate(&take{at: at, cost: 1}, &b[0], &limits[0]) {
				t.Fatal("refused")
			}
			clk.Add(tc.late)
			l.rollBackRate(&limits[0], &b[0], at, 1)
			if got := debtOf(b[0].cell.load(), at).duration(); got != tc.want {
				t.Errorf("debt of %v, want %v", got, tc.want)
			}
		})
	}

	// The case that makes plain subtraction wrong: the bucket was full again before another request was charged.
	t.Run("another request in between", func(t *testing.T) {
		clk := newClock()
		l := NewLocal(LocalOptions{Now: clk.Now})
		limits, out := one(r), make([]Status, 1)
		at := instantOf(clk.Now(), l.epoch)
		b := []bucket{{}}
		l.spendRate(&take{at: at, cost: 1}, &b[0], &limits[0])
		now := clk.Add(5 * time.Second)
		l.Take(now, 1, limits, out)
		l.rollBackRate(&limits[0], &b[0], at, 1)
		if l.Take(now, 0, limits, out); out[0].Remaining != 19 {
			t.Errorf("%d remain, want 19: the other request was forgotten", out[0].Remaining)
		}
	})
}

// Promise: what is taken back from a bucket, or pardoned to it, never overwrites what another request does to it at
// the same moment. The other request comes while the clock is read, between looking at the bucket and changing it.
func TestAnotherRequestAtTheSameMoment(t *testing.T) {
	r := mustRate(t, 60, time.Minute, 20)
	setup := func() (*clock, *Local, *func()) {
		clk, meanwhile := newClock(), new(func())
		return clk, NewLocal(LocalOptions{Now: func() time.Time {
			if f := *meanwhile; f != nil {
				*meanwhile = nil
				f()
			}
			return clk.Now()
		}}), meanwhile
	}

	t.Run("taking back", func(t *testing.T) {
		clk, l, meanwhile := setup()
		limits, out := one(r), make([]Status, 1)
		at := instantOf(clk.Now(), l.epoch)
		b := []bucket{{}}
		l.spendRate(&take{at: at, cost: 2}, &b[0], &limits[0])
		*meanwhile = func() { l.Take(clk.Now(), 5, limits, out) }
		l.rollBackRate(&limits[0], &b[0], at, 2)
		if l.Take(clk.Now(), 0, limits, out); out[0].Remaining != 15 {
			t.Errorf("%d remain, want 15", out[0].Remaining)
		}
	})

	t.Run("pardoning", func(t *testing.T) {
		clk, l, meanwhile := setup()
		small, out := mustRate(t, 60, time.Minute, 2), make([]Status, 1)
		l.Take(clk.Now(), 10, one(r), out)
		*meanwhile = func() { l.Take(clk.Now(), 5, one(r), out) }
		if l.Take(clk.Now(), 1, one(small), make([]Status, 1)) {
			t.Error("admitted with ten seconds of debt in a bucket of two")
		}
		if l.Take(clk.Now(), 0, one(r), out); out[0].Remaining != 5 {
			t.Errorf("%d remain, want 5: there was no pardon while another spent", out[0].Remaining)
		}
	})

	t.Run("a duplicate key loses to itself while another spends", func(t *testing.T) {
		clk, l, meanwhile := setup()
		out := make([]Status, 2)
		both := []Limit{one(r)[0], one(r)[0]}
		*meanwhile = func() { l.Take(clk.Now(), 3, both[:1], make([]Status, 1)) }
		if l.Take(clk.Now(), 12, both, out) || !out[1].Exceeded {
			t.Errorf("%+v", out)
		}
		if l.Take(clk.Now(), 0, both, out); out[0].Remaining != 17 {
			t.Errorf("%d remain, want 17", out[0].Remaining)
		}
	})
}
