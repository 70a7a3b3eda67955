//go:build !race

package fleet

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: a warm decision from leases, of all kinds of limits at once, allocates nothing, and neither does a refusal.
func TestNoAllocations(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, func(o *Options) { o.Idle = time.Hour })
	rate := mustRate(t, 1_000_000_000, time.Second, 0)
	month, err := quota.NewAllowance(quota.MaxRequests, quota.PeriodMonth)
	if err != nil {
		t.Fatal(err)
	}
	tenant := quotatest.Key(quota.ScopeTenant, 1)
	limits := []quota.Limit{
		{Key: tenant, Rate: rate},
		{Key: quotatest.Key(quota.ScopeEnvironment, 2), Tenant: tenant.ID, Rate: rate},
		{Key: tenant, Allowance: month},
		{Key: tenant, Concurrent: 1000},
	}
	out := make([]quota.Status, len(limits))
	now := time.Now()
	for range 3000 {
		if !s.Take(now, 1, limits, out) {
			t.Fatalf("%+v", out)
		}
		s.Release(limits)
	}
	if got := testing.AllocsPerRun(200, func() {
		s.Take(now, 1, limits, out)
		s.Release(limits)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	spent := append(limits[:3:3], quota.Limit{Key: quotatest.Key(quota.ScopeRoute, 3), Tenant: tenant.ID, Rate: quotatest.Slow(t, 1)})
	s.Take(now, 1, spent, out)
	s.Take(now, 1, spent, out) // hears that nothing is left
	if got := testing.AllocsPerRun(200, func() {
		if s.Take(now, 1, spent, out) {
			t.Fatal("admitted")
		}
	}); got != 0 {
		t.Errorf("%v allocations for a refusal", got)
	}
}

// Promise: a hundred thousand tenants that each send one request, or TENANTGATE_LARGE of them, cost memory only until their
// buckets are full again.
func TestManyTenants(t *testing.T) {
	tenants := 100_000
	if n, err := strconv.Atoi(os.Getenv("TENANTGATE_LARGE")); err == nil {
		tenants = n
	}
	server := redis.Start(t, redis.Options{})
	s := newStore(t, server, nil)
	before := heap()
	rate := mustRate(t, 60, time.Minute, 20)
	work := make(chan int, tenants)
	for n := range tenants {
		work <- n
	}
	close(work)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			out := make([]quota.Status, 1)
			for n := range work {
				if !s.Take(time.Now(), 1, limitsOf(n, rate), out) {
					t.Error("refused")
				}
			}
		})
	}
	all.Wait()
	most := heap() - before
	t.Logf("%d limits in memory, %d bytes", s.Stats().Cells, most)
	if most > 700*int64(tenants) {
		t.Errorf("%d bytes for %d tenants", most, tenants)
	}
	eventually(t, func() bool { return s.Stats().Cells == 0 })
	if after := heap() - before; after > 4<<20 {
		t.Errorf("%d bytes are left", after)
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
