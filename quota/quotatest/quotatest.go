// Package quotatest checks what every [quota.Store] has promised, whatever it keeps its counts in and whatever its
// clock is: nothing in here waits or moves a clock, so that it can be run over a store that lives by another machine's.
package quotatest

import (
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Options say what a store is asked for.
type Options struct {
	// New makes an empty store that reads the time from time.Now.
	New func(t *testing.T) quota.Store
	// Loose is for stores that for a moment may say that less is left than there is, such as while more is on its way to them.
	Loose bool
}

// Key returns a key of its own for each n.
func Key(scope quota.Scope, n int) quota.Key {
	return quota.Key{Scope: scope, ID: [16]byte{0: 1, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}}
}

// Slow returns a rate with the given burst that refills nothing while a test runs.
func Slow(t testing.TB, burst int64) quota.Rate {
	t.Helper()
	r, err := quota.NewRate(1+burst/200, 24*time.Hour, burst)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Drain takes one after the other until a request is refused, at most so many, and returns how many passed.
func Drain(s quota.Store, limits []quota.Limit, most int) int {
	out := make([]quota.Status, len(limits))
	for n := range most {
		if !s.Take(time.Now(), 1, limits, out) {
			return n
		}
	}
	return most
}

// Run checks a store.
func Run(t *testing.T, o Options) {
	t.Run("no limits", o.noLimits)
	t.Run("the burst, and no more", o.burst)
	t.Run("a refused request spends from no limit", o.allOrNone)
	t.Run("every limit that refuses says so", o.allSaySo)
	t.Run("a cost", o.cost)
	t.Run("the zero limit", o.zero)
	t.Run("keys are apart", o.keys)
	t.Run("the same key twice spends twice", o.twice)
	t.Run("more limits than anybody has", o.many)
	t.Run("many at once get no more than the burst", o.atOnce)
	t.Run("a shadow limit refuses nothing", o.shadow)
	t.Run("what is refunded can be spent once more", o.refund)
}

func (o Options) noLimits(t *testing.T) {
	if !o.New(t).Take(time.Now(), 1, nil, nil) {
		t.Error("refused without a limit")
	}
}

func (o Options) burst(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{{Name: "requests", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 20)}}
	out := make([]quota.Status, 1)
	for i := range 20 {
		if !s.Take(time.Now(), 1, limits, out) || out[0].Exceeded {
			t.Fatalf("request %d: %+v", i+1, out[0])
		}
		if want := int64(19 - i); out[0].Remaining > want || !o.Loose && out[0].Remaining != want {
			t.Fatalf("request %d: %+v, want %d remaining", i+1, out[0], want)
		}
	}
	for range 3 { // being refused costs nothing
		if s.Take(time.Now(), 1, limits, out) || !out[0].Exceeded || out[0].Remaining != 0 {
			t.Fatalf("request 21 passed, or says %+v", out[0])
		}
		if out[0].RetryAfter < 23*time.Hour || out[0].RetryAfter > 25*time.Hour || out[0].Reset < 19*24*time.Hour {
			t.Fatalf("%+v", out[0])
		}
	}
}

func (o Options) allOrNone(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{
		{Name: "requests", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 20)},
		{Name: "environment", Key: Key(quota.ScopeEnvironment, 2), Tenant: Key(quota.ScopeTenant, 1).ID, Rate: Slow(t, 5)},
	}
	if n := Drain(s, limits, 100); n != 5 {
		t.Fatalf("%d passed, want 5", n)
	}
	out := make([]quota.Status, 2)
	for _, order := range [][]quota.Limit{limits, {limits[1], limits[0]}} {
		for range 10 {
			if s.Take(time.Now(), 1, order, out) {
				t.Fatal("passed an empty bucket")
			}
			for i := range order {
				if tenant := order[i].Name == "requests"; tenant == out[i].Exceeded {
					t.Errorf("%s: %+v", order[i].Name, out[i])
				}
			}
		}
	}
	if n := Drain(s, limits[:1], 100); n != 15 {
		t.Errorf("%d of the tenant's were left, want 15", n)
	}
}

func (o Options) allSaySo(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{
		{Name: "a", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 5)},
		{Name: "b", Key: Key(quota.ScopeTenant, 2), Rate: Slow(t, 20)},
		{Name: "c", Key: Key(quota.ScopeTenant, 3), Rate: Slow(t, 5)},
	}
	out := make([]quota.Status, 3)
	if s.Take(time.Now(), 6, limits, out) {
		t.Fatal("passed with a cost above the burst")
	}
	if !out[0].Exceeded || out[1].Exceeded || !out[2].Exceeded || quota.RetryAfter(out) != quota.Never {
		t.Errorf("%+v", out)
	}
	if !s.Take(time.Now(), 5, limits, out) {
		t.Errorf("something was spent before: %+v", out)
	}
}

func (o Options) cost(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{{Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 5)}}
	out := make([]quota.Status, 1)
	for _, cost := range []int64{0, -1, -1 << 63} {
		if !s.Take(time.Now(), cost, limits, out) || out[0].Remaining != 5 {
			t.Fatalf("cost %d: %+v", cost, out[0])
		}
	}
	if s.Take(time.Now(), 1<<63-1, limits, out) || out[0].RetryAfter != quota.Never {
		t.Errorf("%+v", out[0])
	}
	if !s.Take(time.Now(), 3, limits, out) || s.Take(time.Now(), 3, limits, out) || !s.Take(time.Now(), 2, limits, out) {
		t.Errorf("3 and 2 of 5: %+v", out[0])
	}
	if !s.Take(time.Now(), 0, limits, out) || out[0].Remaining != 0 {
		t.Errorf("%+v", out[0])
	}
}

func (o Options) zero(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{{Name: "none"}, {Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 5)}, {Name: "none"}}
	out := make([]quota.Status, 3)
	if !s.Take(time.Now(), 5, limits, out) || s.Take(time.Now(), 1, limits, out) {
		t.Fatalf("%+v", out)
	}
	if out[0].Exceeded || !out[1].Exceeded || out[2].Exceeded || out[0].Remaining != quota.MaxRequests {
		t.Fatalf("%+v", out)
	}
	if !s.Take(time.Now(), 1<<62, limits[:1], out) {
		t.Fatal("refused by no limit")
	}
}

func (o Options) keys(t *testing.T) {
	s, out := o.New(t), make([]quota.Status, 1)
	one := Key(quota.ScopeTenant, 1)
	for _, k := range []quota.Key{one, {Scope: quota.ScopeEnvironment, ID: one.ID}, Key(quota.ScopeTenant, 2), {}} {
		if !s.Take(time.Now(), 5, []quota.Limit{{Key: k, Rate: Slow(t, 5)}}, out) {
			t.Errorf("%v finds its bucket spent", k)
		}
	}
}

func (o Options) twice(t *testing.T) {
	s, out := o.New(t), make([]quota.Status, 2)
	k, r := Key(quota.ScopeTenant, 1), Slow(t, 5)
	limits := []quota.Limit{{Name: "a", Key: k, Rate: r}, {Name: "b", Key: k, Rate: r}}
	if n := Drain(s, limits, 10); n != 2 {
		t.Fatalf("%d passed, want 2", n)
	}
	if !s.Take(time.Now(), 1, limits[:1], out) || s.Take(time.Now(), 1, limits[:1], out) {
		t.Fatalf("one was left: %+v", out[0])
	}
}

func (o Options) many(t *testing.T) {
	s, limits := o.New(t), make([]quota.Limit, 30)
	for i := range limits {
		limits[i] = quota.Limit{Key: Key(quota.ScopeTenant, i), Rate: Slow(t, 20)}
	}
	limits[29].Rate = Slow(t, 5)
	if n := Drain(s, limits, 10); n != 5 {
		t.Fatalf("%d passed, want 5", n)
	}
	if n := Drain(s, limits[:29], 100); n != 15 {
		t.Fatalf("%d were left, want 15", n)
	}
}

func (o Options) atOnce(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{
		{Name: "requests", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 150)},
		{Name: "environment", Key: Key(quota.ScopeEnvironment, 2), Tenant: Key(quota.ScopeTenant, 1).ID, Rate: Slow(t, 100)},
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total int
	)
	for range 8 {
		wg.Go(func() {
			out, n := make([]quota.Status, 2), 0
			for range 200 {
				if s.Take(time.Now(), 1, limits, out) {
					n++
				}
			}
			mu.Lock()
			total += n
			mu.Unlock()
		})
	}
	wg.Wait()
	// A request that loses a race may be refused although what refused it is given back a moment later.
	for range 100 {
		if Drain(s, limits, 1000) == 0 && total >= 100 {
			break
		}
	}
	// What a lost race takes back is short of the time since its clock was read (see rollBackRate): never as much as
	// one request, but enough for 50 to be a moment short of 50.
	if rest := Drain(s, limits[:1], 1000); total > 100 || rest < 49 || rest > 150-total {
		t.Errorf("%d passed, want 100; then %d of the tenant's were left", total, rest)
	}
}

func (o Options) shadow(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{
		{Name: "requests", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 10)},
		{Name: "trial", Key: Key(quota.ScopeRoute, 2), Tenant: Key(quota.ScopeTenant, 1).ID, Rate: Slow(t, 4), Shadow: true},
	}
	out := make([]quota.Status, 2)
	exceeded := 0
	for i := range 10 {
		if !s.Take(time.Now(), 1, limits, out) {
			t.Fatalf("request %d: %+v", i+1, out)
		}
		if out[1].Exceeded {
			exceeded++
		}
	}
	if exceeded != 6 || s.Take(time.Now(), 1, limits, out) || !out[0].Exceeded {
		t.Errorf("%d times exceeded, want 6: %+v", exceeded, out)
	}
}

func (o Options) refund(t *testing.T) {
	s := o.New(t)
	limits := []quota.Limit{
		{Name: "requests", Key: Key(quota.ScopeTenant, 1), Rate: Slow(t, 20)},
		{Name: "month", Key: Key(quota.ScopeTenant, 1), Allowance: quota.Allowance{Max: 18, Period: quota.PeriodMonth}},
		{Name: "requests again", Key: Key(quota.ScopeEnvironment, 2), Tenant: Key(quota.ScopeTenant, 1).ID, Rate: Slow(t, 16)},
		{Name: "concurrency", Key: Key(quota.ScopeTenant, 1), Concurrent: 100},
	}
	out := make([]quota.Status, len(limits))
	s.Refund(time.Now(), 0, limits) // nothing, and of nothing
	now := time.Now()
	if !s.Take(now, 3, limits, out) {
		t.Fatalf("%+v", out)
	}
	if n := Drain(s, limits, 100); n != 13 {
		t.Fatalf("%d passed, want 13", n)
	}
	s.Refund(now, 3, limits)
	// Of a rate the moment since is lost.
	if n := Drain(s, limits, 100); n < 2 || n > 3 {
		t.Errorf("%d passed after a refund, want 3 or a moment less", n)
	}
	if n := Drain(s, limits[1:2], 100); n < 2 || n > 3 {
		t.Errorf("%d of the month are left, want 2", n)
	}
	if n := Drain(s, limits[:1], 100); n < 4 || n > 5 {
		t.Errorf("%d of the tenant's are left, want 4", n)
	}
	if s.Take(time.Now(), 0, limits, out); out[3].Remaining > 100-17 {
		t.Errorf("a refund has given slots back: %+v", out[3])
	}
}
