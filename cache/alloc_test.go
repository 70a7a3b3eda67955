//go:build !race

package cache

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: answers from memory allocate nothing: fresh, stale, and "unknown" with and without its tenant.
func TestHitsAllocateNothing(t *testing.T) {
	f := newFakeRegistry()
	f.create("acme", "production")
	c := New(f, Options{TTL: time.Hour, NegativeTTL: time.Hour})
	now := time.Now()
	for _, ref := range []registry.Reference{bySlug("acme"), bySlug("acme", "production"), bySlug("nobody"), bySlug("acme", "dev")} {
		_, _ = c.Resolve(t.Context(), ref, now)
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() {
			now = now.Add(time.Millisecond) // so that entries are promoted
			_, _ = c.Resolve(ctx, ref, now)
		}); n != 0 {
			t.Errorf("%v: %v allocations", ref, n)
		}
	}
	ctx, stale := t.Context(), now.Add(2*time.Hour)
	f.setDown(errDown)
	c.breaker.until.Store(stale.Add(time.Hour).UnixNano()) // no refresh, which would allocate
	if n := testing.AllocsPerRun(1000, func() {
		if r, err := c.Resolve(ctx, bySlug("acme"), stale); r == nil || err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("stale: %v allocations", n)
	}
}

// realistic returns a snapshot as a paying customer has it.
func realistic(i int) *registry.Resolved {
	text := func(s string) string { return strings.Clone(s) }
	r := filled(slug(i), i).resolved
	r.Tenant.Slug, r.Tenant.Name, r.Tenant.Plan = text(slug(i).Key), text("Tenant Corporation Limited"), "pro"
	r.Tenant.Status, r.Tenant.Isolation = registry.StatusActive, registry.IsolationIsolatedDB
	r.Tenant.Quotas = registry.Quotas{APIRateLimit: 600, Burst: 100, MaxAPICallsPerMonth: 1e6}
	r.Tenant.Metadata = map[string]string{"canary": "true"}
	r.Environment.Slug, r.Environment.Name, r.Environment.Type = text("production"), text("Production"), registry.EnvironmentProduction
	r.Environment.Region = text("eu-west-1")
	r.Upstreams = []registry.Upstream{{Scheme: "http", Address: text("10.20.30.40:8080")}}
	r.Database = registry.Database{Driver: "turso", Name: text(r.Environment.ID.String())}
	return r
}

// heap returns the bytes in use after all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fill puts n tenants with so many names each into a table and returns the bytes per name, with and without snapshots.
func fill(n, names int) (*table, float64, float64) {
	snapshots := make([]*registry.Resolved, n)
	before := heap()
	for i := range snapshots {
		snapshots[i] = realistic(i)
	}
	middle := heap()
	tab := newTable(n * names)
	for i, r := range snapshots {
		for name := range names {
			ref := slug(i)
			if name > 0 {
				ref = byHost(ref.Key + strings.Repeat(".test", name))
			}
			tab.put(newEntry(ref, r, nil, 0, 1))
		}
	}
	after := heap()
	runtime.KeepAlive(snapshots)
	return tab, float64(after-before) / float64(n*names), float64(after-middle) / float64(n*names)
}

// Promise: a cached tenant costs at most 1.5 KB, its snapshot included, and each further name of it less.
func TestMemoryPerEntry(t *testing.T) {
	tab, total, overhead := fill(100_000, 1)
	t.Logf("%.0f bytes per tenant, %.0f of them the cache's", total, overhead)
	if total > 1536 {
		t.Errorf("%.0f bytes per tenant", total)
	}
	runtime.KeepAlive(tab)
	tab, total, overhead = fill(30_000, 3)
	t.Logf("%.0f bytes per name with three names, %.0f of them the cache's", total, overhead)
	if total > 1000 {
		t.Errorf("%.0f bytes per name", total)
	}
	runtime.KeepAlive(tab)
}
