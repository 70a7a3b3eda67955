package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// countModel is what allowances and concurrency are, in the most obvious way: a number for each period and Key, found by
// the period's name.
type countModel struct {
	spent    map[string]int64
	inFlight map[Key]int64
}

func newCountModel() *countModel {
	return &countModel{spent: make(map[string]int64), inFlight: make(map[Key]int64)}
}

// counter names what an allowance counts in.
func counter(k Key, p Period, now time.Time) string {
	layout := "2006-01-02"
	if p == PeriodMonth {
		layout = "2006-01"
	}
	return fmt.Sprint(k, now.UTC().Format(layout))
}

// untilEnd counts the seconds to the period's end by looking at the calendar.
func untilEnd(p Period, now time.Time) time.Duration {
	end := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	for p == PeriodMonth && end.Day() != 1 {
		end = end.AddDate(0, 0, 1)
	}
	return end.Sub(now)
}

func (m *countModel) take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	allowed := true
	for i, l := range limits {
		switch {
		case l.Allowance.Max > 0:
			used := m.spent[counter(l.Key, l.Allowance.Period, now)]
			out[i] = Status{Exceeded: cost > 0 && used+cost > l.Allowance.Max}
			if out[i].Exceeded && !l.Shadow {
				out[i].RetryAfter = untilEnd(l.Allowance.Period, now)
				if cost > l.Allowance.Max {
					out[i].RetryAfter = Never
				}
			}
		case l.Concurrent > 0:
			out[i] = Status{Exceeded: cost > 0 && m.inFlight[l.Key] >= l.Concurrent}
			if out[i].Exceeded && !l.Shadow {
				out[i].RetryAfter = time.Second
			}
		default:
			out[i] = Status{}
		}
		allowed = allowed && (!out[i].Exceeded || l.Shadow)
	}
	if allowed && cost > 0 {
		counted := make(map[Key]bool)
		for _, l := range limits {
			if !l.Allowance.IsZero() && !counted[l.Key] {
				counted[l.Key] = true
				for _, p := range []Period{PeriodDay, PeriodMonth} {
					m.spent[counter(l.Key, p, now)] += cost
				}
			}
			if l.Concurrent > 0 {
				m.inFlight[l.Key]++
			}
		}
	}
	for i, l := range limits {
		switch {
		case l.Allowance.Max > 0:
			used := m.spent[counter(l.Key, l.Allowance.Period, now)]
			out[i].Remaining = max(l.Allowance.Max-used, 0)
			if used > 0 {
				out[i].Reset = untilEnd(l.Allowance.Period, now)
				out[i].Next = out[i].Reset
			}
		case l.Concurrent > 0:
			out[i].Remaining = max(l.Concurrent-m.inFlight[l.Key], 0)
		default:
			out[i].Remaining = MaxRequests
		}
	}
	return allowed
}

// randomCounts returns some limits that are no rates; a Key comes once for each kind and period.
func randomCounts(rnd *rand.Rand) []Limit {
	var limits []Limit
	for n := range 3 {
		k := tenantKey(n)
		for _, p := range []Period{PeriodDay, PeriodMonth} {
			if rnd.IntN(3) == 0 {
				limits = append(limits, Limit{Key: k, Allowance: Allowance{rnd.Int64N(40), p}, Shadow: rnd.IntN(6) == 0})
			}
		}
		if rnd.IntN(3) == 0 {
			limits = append(limits, Limit{Key: k, Concurrent: 1 + rnd.Int64N(4), Shadow: rnd.IntN(6) == 0})
		}
	}
	rnd.Shuffle(len(limits), func(i, j int) { limits[i], limits[j] = limits[j], limits[i] })
	return limits
}

// Promise: allowances and concurrency decide exactly as an obvious model does, whatever limits come together, also when Max
// changes in mid-period, across midnights, months and leap days, with sweeps in between, and when the clock jumps to and
// fro: what was spent in a period is found again in it.
func TestCountsAgainstModel(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		start := time.Date(2027+rnd.IntN(2), time.Month(1+rnd.IntN(12)), 26+rnd.IntN(3), rnd.IntN(24), 0, 0, rnd.IntN(1e9), time.UTC)
		clk := &clock{now: start}
		l, model := NewLocal(LocalOptions{Now: clk.Now}), newCountModel()
		var open [][]Limit
		for step := range 400 {
			var now time.Time
			switch rnd.IntN(20) {
			case 0:
				now = clk.Add(time.Duration(rnd.IntN(72)) * time.Hour)
			case 1:
				now = clk.Add(-time.Duration(rnd.IntN(36)) * time.Hour)
			case 2:
				l.Sweep(clk.Now())
				now = clk.Now()
			case 3: // the last nanosecond of a day, and the first
				now = clk.Add(untilEnd(PeriodDay, clk.Now()) - time.Duration(rnd.IntN(2)))
			default:
				now = clk.Add(time.Duration(rnd.IntN(1000)) * time.Second)
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
			limits := randomCounts(rnd)
			cost := rnd.Int64N(5)
			got, want := make([]Status, len(limits)), make([]Status, len(limits))
			allowed, wanted := l.Take(now, cost, limits, got), model.take(now, cost, limits, want)
			if allowed != wanted || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, step %d, %v, cost %d of %+v:\ngot  %v %+v\nwant %v %+v", seed, step, now, cost, limits, allowed, got, wanted, want)
			}
			if allowed && cost > 0 {
				open = append(open, limits)
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
}

// Promise: a client that waits as long as Retry-After says passes, and one that comes a nanosecond earlier does not, whatever
// the month.
func TestRetryAfterOfAllowances(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 12))
	for range 2000 {
		now := time.Unix(rnd.Int64N(1<<33), rnd.Int64N(1e9))
		most, p := 1+rnd.Int64N(10), PeriodDay+Period(rnd.IntN(2))
		l := NewLocal(LocalOptions{})
		limits, out := []Limit{{Key: tenantKey(1), Allowance: Allowance{most, p}}}, make([]Status, 1)
		l.Take(now, 1+rnd.Int64N(most), limits, out)
		if l.Take(now, most, limits, out) {
			t.Fatal("passed with more than remains")
		}
		wait := out[0].RetryAfter
		if wait <= 0 || wait != RetryAfter(out) {
			t.Fatalf("%+v", out[0])
		}
		if l.Take(now.Add(wait-1), most, limits, out) {
			t.Fatalf("%v: passed before the %v's end", now.Add(wait-1).UTC(), p)
		}
		if !l.Take(now.Add(wait), most, limits, out) {
			t.Fatalf("%v: refused after the %v's end", now.Add(wait).UTC(), p)
		}
	}
}

// Promise: limits that cannot be are refused where they are made.
func TestLimitsRefused(t *testing.T) {
	for _, n := range []int64{0, -1, -1 << 63, MaxRequests + 1, 1<<63 - 1} {
		for _, p := range []Period{PeriodDay, PeriodMonth} {
			if _, err := NewAllowance(n, p); err == nil {
				t.Errorf("%d per %v", n, p)
			}
		}
		if CheckConcurrent(n) == nil {
			t.Errorf("%d at once", n)
		}
	}
	for _, p := range []Period{0, 3, 255} {
		if _, err := NewAllowance(1, p); err == nil {
			t.Errorf("1 per period %d", p)
		}
	}
	if a, err := NewAllowance(MaxRequests, PeriodMonth); err != nil || a.Max != MaxRequests || CheckConcurrent(MaxRequests) != nil {
		t.Error(err)
	}
}

// Promise: kinds come together: one that refuses leaves the others as they were, in any order.
func TestKindsAllOrNone(t *testing.T) {
	all := []Limit{
		{Name: "requests", Key: tenantKey(1), Rate: mustRate(t, 60, time.Minute, 10)},
		{Name: "day", Key: tenantKey(1), Allowance: Allowance{10, PeriodDay}},
		{Name: "month", Key: tenantKey(1), Allowance: Allowance{10, PeriodMonth}},
		{Name: "concurrency", Key: tenantKey(1), Concurrent: 10},
		{Name: "environment", Key: tenantKey(2), Allowance: Allowance{10, PeriodDay}},
	}
	for tight := range all {
		for first := range all {
			clk := newClock()
			l := NewLocal(LocalOptions{Now: clk.Now})
			limits := append([]Limit{}, all...)
			switch l := &limits[tight]; {
			case !l.Rate.IsZero():
				l.Rate = mustRate(t, 60, time.Minute, 4)
			case !l.Allowance.IsZero():
				l.Allowance.Max = 4
			default:
				l.Concurrent = 4
			}
			limits[0], limits[first] = limits[first], limits[0]
			out, passed := make([]Status, len(limits)), 0
			for range 10 {
				if l.Take(clk.Now(), 1, limits, out) {
					passed++
				}
			}
			if passed != 4 {
				t.Errorf("%s tight, %s first: %d passed", all[tight].Name, limits[0].Name, passed)
			}
			for i := range out {
				if want := limits[i].Size() - 4; out[i].Remaining != want || out[i].Exceeded != (limits[i].Name == all[tight].Name) {
					t.Errorf("%s tight, %s first: %s: %+v", all[tight].Name, limits[0].Name, limits[i].Name, out[i])
				}
			}
		}
	}
}

// Promise: shadow limits of every kind say when they would have refused, and refuse nothing.
func TestShadow(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits := []Limit{
		{Name: "a", Key: tenantKey(1), Rate: mustRate(t, 60, time.Minute, 2), Shadow: true},
		{Name: "b", Key: tenantKey(1), Allowance: Allowance{2, PeriodDay}, Shadow: true},
		{Name: "c", Key: tenantKey(1), Concurrent: 2, Shadow: true},
		{Name: "real", Key: tenantKey(1), Allowance: Allowance{4, PeriodMonth}},
	}
	out := make([]Status, len(limits))
	for i := range 6 {
		allowed := l.Take(clk.Now(), 1, limits, out)
		if allowed != (i < 4) {
			t.Fatalf("request %d: %v", i+1, allowed)
		}
		for j := range 3 {
			if out[j].Exceeded != (i >= 2) || out[j].RetryAfter != 0 {
				t.Errorf("request %d: %s: %+v", i+1, limits[j].Name, out[j])
			}
		}
	}
	if RetryAfter(out) != out[3].RetryAfter || Tightest(limits, out) != 3 || Enforce(limits, out).ExceededQuota != "real" {
		t.Errorf("what is told is not of the limit that refuses: %+v", out)
	}
	if got := string(AppendViolatedPolicies(nil, limits, out)); got != `["real"]` {
		t.Error(got)
	}
	if got := string(AppendPolicy(nil, limits)); got != `"real";q=4` {
		t.Error(got)
	}
}

// FuzzAllowance looks for a time, a limit or costs that make a panic, a pass too many, or a wait that is wrong.
func FuzzAllowance(f *testing.F) {
	f.Add(int64(1709251199), int64(999999999), int64(5), int64(3), int64(3), true)
	f.Add(int64(-1), int64(0), int64(1), int64(1)<<62, int64(-5), false)
	f.Fuzz(func(t *testing.T, sec, nsec, most, cost1, cost2 int64, month bool) {
		p := PeriodDay
		if month {
			p = PeriodMonth
		}
		a, err := NewAllowance(most, p)
		if err != nil || sec > 1<<36 || sec < -1<<33 {
			return
		}
		now := time.Unix(sec, ((nsec%1e9)+1e9)%1e9)
		l := NewLocal(LocalOptions{Now: func() time.Time { return now }})
		limits, out := []Limit{{Key: tenantKey(1), Allowance: a}}, make([]Status, 1)
		spent := int64(0)
		for _, cost := range []int64{cost1, cost2} {
			if l.Take(now, cost, limits, out) != (cost < 1 || cost <= most-spent) {
				t.Fatalf("cost %d, spent %d of %d: %+v", cost, spent, most, out[0])
			}
			if !out[0].Exceeded && cost > 0 {
				spent += cost
			}
			if out[0].Remaining != most-spent {
				t.Fatalf("%d remain of %d, spent %d", out[0].Remaining, most, spent)
			}
		}
		if want := a.Status(now, spent, 0); out[0].Remaining != want.Remaining || out[0].Reset != want.Reset {
			t.Fatalf("%+v, want %+v", out[0], want)
		}
		if end := p.End(now); !end.After(now) || p.Start(end) != end || p.Start(now).After(now) || p.End(p.Start(now)) != end {
			t.Fatalf("%v: the %v is from %v to %v", now, p, p.Start(now), end)
		}
	})
}
