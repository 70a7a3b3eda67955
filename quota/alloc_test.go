//go:build !race

package quota

import (
	"runtime"
	"testing"
	"time"
)

// Promise: a warm decision, admitted or refused, with one to three limits and up to eight, allocates nothing, and
// neither does writing its headers and its refusal.
func TestNoAllocations(t *testing.T) {
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	now := clk.Now()
	for n := 1; n <= inline; n++ {
		admitted, refused := make([]Limit, n), make([]Limit, n)
		for i := range n {
			admitted[i] = Limit{Name: "requests", Key: tenantKey(100*n + i), Rate: mustRate(t, MaxRequests, time.Minute, 0)}
			refused[i] = admitted[i]
		}
		refused[n-1] = Limit{Name: "environment", Key: tenantKey(100*n + 99), Rate: mustRate(t, 1, time.Minute, 1)}
		out, b := make([]Status, n), make([]byte, 0, 1024)
		l.Take(now, 1, refused, out)
		for name, f := range map[string]func(){
			"admitted": func() {
				if !l.Take(now, 1, admitted, out) {
					t.Fatal("refused")
				}
			},
			"refused": func() {
				if l.Take(now, 1, refused, out) {
					t.Fatal("admitted")
				}
			},
			"read": func() { l.Take(now, 0, refused, out) },
			"text": func() {
				b = AppendPolicy(b[:0], refused)
				b = AppendRateLimit(b, refused, out)
				b = AppendRetryAfter(b, RetryAfter(out))
				r := Enforce(refused, out)
				b = r.AppendJSON(b)
				b = AppendViolatedPolicies(b, refused, out)
			},
		} {
			if got := testing.AllocsPerRun(1000, f); got != 0 {
				t.Errorf("%d limits, %s: %v allocations", n, name, got)
			}
		}
	}
}

// Promise: a million tenants that each send one request cost memory only until their buckets are full again.
func TestMillionTenants(t *testing.T) {
	const tenants = 1_000_000
	r := mustRate(t, 60, time.Minute, 20)
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now})
	limits, out := one(r), make([]Status, 1)
	before := heap()
	for i := range tenants {
		limits[0].Key = tenantKey(i)
		if !l.Take(clk.Now(), 1, limits, out) {
			t.Fatal("refused")
		}
	}
	if n := l.Len(); n != tenants {
		t.Fatalf("%d buckets", n)
	}
	during := heap() - before
	l.Sweep(clk.Add(time.Second - 1))
	if n := l.Len(); n != tenants {
		t.Fatalf("%d buckets a nanosecond before they are full", n)
	}
	start := time.Now()
	if n := l.Sweep(clk.Add(1)); n != tenants || l.Len() != 0 {
		t.Fatalf("%d swept, %d left", n, l.Len())
	}
	took := time.Since(start)
	after := heap() - before
	t.Logf("%d bytes for each bucket; swept in %v; %d bytes in all afterwards", during/tenants, took, after)
	if during > 200*tenants {
		t.Errorf("%d bytes for each bucket, more than 200", during/tenants)
	}
	if after > 1<<20 {
		t.Errorf("%d bytes are left after all is swept", after)
	}
	runtime.KeepAlive(l)
}

// Promise: a warm decision with a limit of each kind for tenant, environment and API key, and giving the slots back,
// allocates nothing.
func TestNoAllocationsOfKinds(t *testing.T) {
	b := newBook()
	p := page{b, "node"}
	l := NewLocal(LocalOptions{Usage: UsageOptions{Source: p, Sink: p}})
	var limits []Limit
	for n := range 3 {
		limits = append(limits, kinds(t, n)...)
		limits = append(limits, Limit{Name: "day", Key: benchKey(n, 0), Allowance: Allowance{MaxRequests, PeriodDay}})
	}
	out, now := make([]Status, len(limits)), time.Now()
	l.ledger.down.Store(true) // nobody loads
	l.Take(now, 1, limits, out)
	l.Release(limits)
	if got := testing.AllocsPerRun(1000, func() {
		if !l.Take(now, 1, limits, out) {
			t.Fatal("refused")
		}
		l.Release(limits)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
