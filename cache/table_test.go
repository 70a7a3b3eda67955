package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// filled returns an entry for a reference that has the tenant of that number.
func filled(ref registry.Reference, tenant int) *entry {
	return newEntry(ref, &registry.Resolved{
		Tenant:      registry.ResolvedTenant{ID: numbered(1, tenant), Plan: fmt.Sprint("plan", tenant%3)},
		Environment: registry.ResolvedEnvironment{ID: numbered(2, tenant)},
	}, nil, 0, 1)
}

func numbered(space byte, n int) uuid.UUID {
	return uuid.UUID{space, 15: byte(n), 14: byte(n >> 8), 13: byte(n >> 16)}
}

// Promise: a table uses its whole size, never holds more, and evicts what was used longest ago, whatever shards the
// names fall in; promotion happens at most once in promoteAfter.
func TestTableEvictsTheOldest(t *testing.T) {
	for _, size := range []int{1, 2, 5, 100, 1000} {
		tab := newTable(size)
		for i := range size {
			tab.put(filled(slug(i), i))
		}
		if tab.len() != size {
			t.Fatalf("%d of %d", tab.len(), size)
		}
		second := int64(time.Second)
		for i := range size / 2 { // the first half becomes the most recently used
			tab.touch(tab.get(slug(i)), second)
		}
		for i := size / 2; i < size; i++ { // too early to count
			tab.touch(tab.get(slug(i)), second-1)
		}
		for i := range size {
			tab.put(filled(slug(size+i), i))
			checkTable(t, tab)
			old := (size/2 + i) % size // the second half goes first
			if tab.get(slug(old)) != nil || tab.len() != size || tab.evictions.Load() != int64(i+1) {
				t.Fatalf("size %d: not the oldest evicted at %d", size, i)
			}
		}
		if list := tab.all(); list[0].ref != slug(2*size-1) || list[size-1].ref != slug(size) {
			t.Fatal("not in order of use")
		}
	}
}

// Promise: the bound holds at every moment while many add, read, remove and resize at once, and the parts of the table
// agree afterwards.
func TestTableBoundHoldsUnderConcurrency(t *testing.T) {
	const size = 64
	tab := newTable(size)
	stop := make(chan struct{})
	var watcher, workers sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if n := tab.index.Size(); n > size {
					t.Errorf("%d entries", n)
					return
				}
			}
		}
	})
	for w := range 4 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for i := range 5000 {
				ref := slug(r.IntN(200))
				switch r.IntN(10) {
				case 0:
					if e := tab.get(ref); e != nil {
						tab.remove(e)
					}
				case 1:
					tab.dropTouched([]registry.Change{{Entity: "organization", Tenant: numbered(1, r.IntN(200))}})
				case 2:
					tab.resize(1 + r.IntN(size))
				case 3:
					tab.all()
				case 4, 5, 6:
					if e := tab.get(ref); e != nil {
						tab.touch(e, int64(i)*int64(time.Second))
					}
				default:
					tab.put(filled(ref, r.IntN(200)))
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	watcher.Wait()
	checkTable(t, tab)
	tab.resize(1)
	checkTable(t, tab)
}

// Promise: a change drops exactly the entries that it touches: what the reverse indexes find is what a look at every
// entry would find.
func TestDropTouchedIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	kinds := []registry.Kind{registry.KindSlug, registry.KindHost, registry.KindTenantID, registry.KindEnvironmentID, registry.KindSession, registry.KindAPIKey}
	key := func(tenant int) (registry.Kind, string) {
		kind := kinds[r.IntN(len(kinds))]
		switch kind {
		case registry.KindTenantID:
			return kind, numbered(1, tenant).String()
		case registry.KindEnvironmentID:
			return kind, numbered(2, tenant).String()
		}
		return kind, fmt.Sprint("k", tenant, r.IntN(2))
	}
	for range 300 {
		tab := newTable(1000)
		for range 60 {
			tenant := r.IntN(6)
			ref := registry.Reference{Environment: []string{"", "dev"}[r.IntN(2)]}
			ref.Kind, ref.Key = key(tenant)
			e := filled(ref, tenant)
			if r.IntN(3) == 0 {
				e = newEntry(ref, nil, notFound(&registry.NotFoundError{Tenant: []uuid.UUID{{}, numbered(1, tenant)}[r.IntN(2)]}), 0, 1)
			}
			tab.put(e)
		}
		var rows []registry.Change
		for range 1 + r.IntN(3) {
			tenant := r.IntN(6)
			row := registry.Change{Entity: []string{"organization", "environment", "domain", "plan", "session", "api_key", "registry"}[r.IntN(6+r.IntN(2))]}
			if r.IntN(2) == 0 {
				row.Tenant = numbered(1, tenant)
			}
			if r.IntN(2) == 0 {
				row.Environment = numbered(2, tenant)
			}
			switch r.IntN(3) {
			case 0:
				_, row.Key = key(tenant)
			case 1:
				row.Key = fmt.Sprint("plan", tenant%3)
			}
			rows = append(rows, row)
		}
		before := tab.all()
		n := tab.dropTouched(rows)
		checkTable(t, tab)
		for _, e := range before {
			if kept := tab.get(e.ref) == e.entry; kept == touchesAny(rows, e.entry) {
				t.Fatalf("%+v\n%+v (tenant %v): kept %v", rows, e.ref, e.tenant(), kept)
			}
		}
		if n != len(before)-tab.len() {
			t.Fatalf("%d dropped, %d counted", len(before)-tab.len(), n)
		}
	}
}
