package cache

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tenantgate/tenantgate/registry"
)

// plainLRU is what the cache would be without its index: golang-lru in shards, each behind a mutex, because its Get
// moves the entry. It is here to be compared with, and has only what a fresh hit needs.
type plainLRU struct {
	seed   maphash.Seed
	shards [shardCount]struct {
		mu  sync.Mutex
		lru *simplelru.LRU[registry.Reference, *entry]
		_   [48]byte
	}
}

func newPlainLRU(size int) *plainLRU {
	p := &plainLRU{seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].lru, _ = simplelru.NewLRU[registry.Reference, *entry](size/shardCount, nil)
	}
	return p
}

func (p *plainLRU) add(e *entry) {
	s := &p.shards[maphash.Comparable(p.seed, e.ref)%shardCount]
	s.mu.Lock()
	s.lru.Add(e.ref, e)
	s.mu.Unlock()
}

func (p *plainLRU) get(ref registry.Reference, now int64) *registry.Resolved {
	s := &p.shards[maphash.Comparable(p.seed, ref)%shardCount]
	s.mu.Lock()
	e, ok := s.lru.Get(ref)
	s.mu.Unlock()
	if !ok || now >= e.fresh.Load() {
		return nil
	}
	return e.resolved
}

const benchTenants = 100_000

// zipf returns references of tenants as they come in practice: few of them very often.
func zipf(n int) []registry.Reference {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, benchTenants-1)
	refs := make([]registry.Reference, n)
	for i := range refs {
		refs[i] = slug(int(z.Uint64()))
	}
	return refs
}

func slug(i int) registry.Reference {
	return registry.Reference{Kind: registry.KindSlug, Key: fmt.Sprintf("tenant-%06d", i)}
}

// countless is a source that knows every tenant.
type countless struct{}

func (countless) Resolve(_ context.Context, ref registry.Reference) (*registry.Resolved, error) {
	if ref.Environment == "missing" {
		return nil, &registry.NotFoundError{}
	}
	return &registry.Resolved{
		Tenant:      registry.ResolvedTenant{ID: uuid.NewSHA1(uuid.Nil, []byte(ref.Key)), Slug: ref.Key, Status: registry.StatusActive},
		Environment: registry.ResolvedEnvironment{ID: uuid.NewSHA1(uuid.NameSpaceDNS, []byte(ref.Key))},
	}, nil
}

func (countless) Changes(context.Context, int64, int) (registry.Changes, error) {
	return registry.Changes{Registry: uuid.NameSpaceURL, Oldest: 1}, nil
}

// BenchmarkHit is a fresh hit on one hot tenant, and on tenants by Zipf's law, with the index and with a plain sharded
// LRU. Run it with -cpu 1,4: the hot tenant must not get slower with more cores.
func BenchmarkHit(b *testing.B) {
	now := time.Now()
	c := New(countless{}, Options{TTL: 24 * time.Hour})
	plain := newPlainLRU(2 * benchTenants)
	for i := range benchTenants {
		if _, err := c.Resolve(b.Context(), slug(i), now); err != nil {
			b.Fatal(err)
		}
		plain.add(c.entries.get(slug(i)))
	}
	refs := zipf(1 << 16)
	index := func(ref registry.Reference, t time.Time) *registry.Resolved {
		r, _ := c.Resolve(context.Background(), ref, t)
		return r
	}
	lru := func(ref registry.Reference, t time.Time) *registry.Resolved { return plain.get(ref, t.UnixNano()) }
	for _, way := range []struct {
		name string
		get  func(registry.Reference, time.Time) *registry.Resolved
	}{{"index", index}, {"plain", lru}} {
		for _, keys := range []struct {
			name string
			mask int
		}{{"one", 0}, {"zipf", len(refs) - 1}} {
			b.Run(way.name+"/"+keys.name, func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					t, i := now, rand.IntN(len(refs))
					for pb.Next() {
						i++
						t = t.Add(50 * time.Nanosecond) // the clock moves, so that entries are promoted
						if way.get(refs[i&keys.mask], t) == nil {
							b.Error("no hit")
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkNegativeHit is a made-up name that is known to be one.
func BenchmarkNegativeHit(b *testing.B) {
	c, now := New(countless{}, Options{NegativeTTL: time.Hour}), time.Now()
	ref := registry.Reference{Kind: registry.KindSlug, Key: "made-up", Environment: "missing"}
	_, _ = c.Resolve(b.Context(), ref, now)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Resolve(context.Background(), ref, now); err == nil {
				b.Error("found")
				return
			}
		}
	})
}

// BenchmarkMiss is a tenant that is not in memory, with a registry that answers at once and a full cache, so that each
// also evicts one.
func BenchmarkMiss(b *testing.B) {
	c, now := New(countless{}, Options{Size: 10_000}), time.Now()
	var next atomic.Int64
	for range 10_000 {
		_, _ = c.Resolve(b.Context(), slug(int(next.Add(1))), now)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Resolve(context.Background(), slug(int(next.Add(1))), now); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkChange is one row of the change log applied to a cache of 100,000 tenants.
func BenchmarkChange(b *testing.B) {
	for _, entity := range []string{"organization", "plan"} {
		b.Run(entity, func(b *testing.B) {
			c, now := New(countless{}, Options{}), time.Now()
			for i := range benchTenants {
				_, _ = c.Resolve(b.Context(), slug(i), now)
			}
			e := c.entries.get(slug(7))
			b.ReportAllocs()
			for b.Loop() {
				ch := registry.Change{Entity: entity, Tenant: e.tenant(), Key: e.ref.Key}
				c.drop([]registry.Change{ch})
				c.entries.put(e)
			}
		})
	}
}

// BenchmarkSaveHotSet writes 100,000 tenants to disk.
func BenchmarkSaveHotSet(b *testing.B) {
	c, now := New(countless{}, Options{HotSet: filepath.Join(b.TempDir(), "hot.json")}), time.Now()
	for i := range benchTenants {
		_, _ = c.Resolve(b.Context(), slug(i), now)
	}
	for b.Loop() {
		if err := c.SaveHotSet(); err != nil {
			b.Fatal(err)
		}
	}
}
