//go:build !race

package quota

import (
	"context"
	"testing"
	"time"
	"unsafe"
)

// tenantMemory returns the bytes of heap that a tenant costs which has sent one request, with the limits that it has without
// any quota but a rate: its requests are counted, and those of its environment. Its bucket is full again and swept.
func tenantMemory(t *testing.T, tenants int) int64 {
	t.Helper()
	p := page{newBook(), "node"}
	clk := newClock()
	l := NewLocal(LocalOptions{Now: clk.Now, Usage: UsageOptions{Source: p, Sink: silent{}, LoadTimeout: time.Minute}})
	rate := mustRate(t, 60_000_000, time.Minute, 0)
	before := heap()
	out := make([]Status, 3)
	for i := range tenants {
		tenant, environment := tenantKey(2*i), tenantKey(2*i+1)
		environment.Scope = ScopeEnvironment
		limits := []Limit{
			{Key: tenant, Tenant: tenant.ID, Rate: rate},
			{Key: tenant, Tenant: tenant.ID, Allowance: Allowance{Period: PeriodDay}},
			{Key: environment, Tenant: tenant.ID, Allowance: Allowance{Period: PeriodDay}},
		}
		if !l.Take(clk.Now(), 1, limits, out) {
			t.Fatal("refused")
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Sweep(clk.Add(time.Second))
	after := heap()
	if n := l.Len(); n != 2*tenants {
		t.Fatalf("%d counts in memory", n)
	}
	return (after - before) / int64(tenants)
}

// silent is a sink that keeps nothing.
type silent struct{}

func (silent) Save(context.Context, []Record) error { return nil }

// Promise: a tenant that has sent one request costs at most 300 bytes of heap, until it is idle: two accounts of 112 bytes and
// their places in the index. A bucket and a count of slots are a cache line each, so that neighbours do not slow each other
// down.
func TestMemoryOfTenants(t *testing.T) {
	for _, tenants := range []int{50_000, 100_000} {
		got := tenantMemory(t, tenants)
		t.Logf("%d tenants: %d bytes each", tenants, got)
		if got > 300 {
			t.Errorf("%d tenants: %d bytes each, want 300 at most", tenants, got)
		}
	}
	if n := unsafe.Sizeof(account{}); n != 112 {
		t.Errorf("an account has %d bytes", n)
	}
	if n := unsafe.Sizeof(cell{}); n != 64 {
		t.Errorf("a bucket has %d bytes", n)
	}
	if n := unsafe.Sizeof(flight{}); n != 64 {
		t.Errorf("a count of slots has %d bytes", n)
	}
}
