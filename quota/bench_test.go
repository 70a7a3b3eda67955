package quota

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

func benchKey(tenant, limit int) Key {
	// As random as a UUID, and the same in every run.
	r := rand.New(rand.NewPCG(uint64(tenant), uint64(limit)))
	k := Key{Scope: ScopeTenant + Scope(limit)}
	for i := 0; i < 16; i += 8 {
		v := r.Uint64()
		for j := range 8 {
			k.ID[i+j] = byte(v >> (8 * j))
		}
	}
	return k
}

// BenchmarkTake spends from limits that are never exhausted, so that every decision writes. It compares, in one run
// and on the same keys, Local with the same arithmetic over xsync.Map, over a sharded map with read-write locks, and
// behind one mutex, and with golang.org/x/time/rate in a sharded map. Only ratios within one run mean anything.
func BenchmarkTake(b *testing.B) {
	r, err := NewRate(1_000_000_000, time.Second, 0)
	if err != nil {
		b.Fatal(err)
	}
	stores := []struct {
		name string
		make func() Store
	}{
		{"local", func() Store { return NewLocal(LocalOptions{}) }},
		{"xsync", func() Store { return &xsyncStore{time.Now(), xsync.NewMap[Key, *cell]()} }},
		{"sharded", func() Store { return newShardedStore(time.Now()) }},
		{"mutex", func() Store { return newMutexStore(time.Now()) }},
		{"xrate", func() Store { return newXrateStore(time.Now()) }},
	}
	for _, tenants := range []int{1, 16, 10_000} {
		for _, n := range []int{1, 3} {
			limits := make([][]Limit, tenants)
			for t := range limits {
				for i := range n {
					limits[t] = append(limits[t], Limit{Name: "requests", Key: benchKey(t, i), Rate: r})
				}
			}
			for _, s := range stores {
				b.Run("tenants="+strconv.Itoa(tenants)+"/limits="+strconv.Itoa(n)+"/"+s.name, func(b *testing.B) {
					store := s.make()
					now := time.Now()
					warm := make([]Status, n)
					for _, l := range limits {
						store.Take(now, 1, l, warm)
					}
					var worker atomic.Uint64
					b.ReportAllocs()
					b.ResetTimer()
					b.RunParallel(func(pb *testing.PB) {
						out := make([]Status, n)
						x := worker.Add(1) * 0x9e3779b97f4a7c15
						now := time.Now()
						for pb.Next() {
							x ^= x << 13
							x ^= x >> 7
							x ^= x << 17
							now = now.Add(10 * time.Nanosecond)
							store.Take(now, 1, limits[x%uint64(tenants)], out)
						}
					})
				})
			}
		}
	}
}

// BenchmarkRefuse is a tenant that is over its second limit of three: nothing is written, so all cores go on at once.
func BenchmarkRefuse(b *testing.B) {
	limits := []Limit{
		{Name: "requests", Key: benchKey(0, 0), Rate: mustRate(b, 1_000_000, time.Second, 0)},
		{Name: "environment", Key: benchKey(0, 1), Rate: mustRate(b, 1, time.Hour, 1)},
		{Name: "key", Key: benchKey(0, 2), Rate: mustRate(b, 1_000_000, time.Second, 0)},
	}
	l, now := NewLocal(LocalOptions{}), time.Now()
	l.Take(now, 1, limits, make([]Status, 3))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		out := make([]Status, 3)
		for pb.Next() {
			if l.Take(now, 1, limits, out) {
				b.Error("admitted")
			}
		}
	})
}

// BenchmarkNewKey is the first request of a tenant whose bucket is not in memory.
func BenchmarkNewKey(b *testing.B) {
	l, now := NewLocal(LocalOptions{}), time.Now()
	r := mustRate(b, 60, time.Minute, 20)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		limits, out := one(r), make([]Status, 1)
		for pb.Next() {
			limits[0].Key = tenantKey(int(next.Add(1)))
			l.Take(now, 1, limits, out)
		}
	})
}

// BenchmarkSweep looks at a million buckets of which none is full: what Run costs each SweepInterval at the most.
func BenchmarkSweep(b *testing.B) {
	l, now := NewLocal(LocalOptions{}), time.Now()
	limits, out := one(mustRate(b, 1, time.Hour, 1)), make([]Status, 1)
	for i := range 1_000_000 {
		limits[0].Key = tenantKey(i)
		l.Take(now, 1, limits, out)
	}
	for b.Loop() {
		if l.Sweep(now) != 0 {
			b.Fatal("swept")
		}
	}
}

// BenchmarkHeaders writes both fields for two limits.
func BenchmarkHeaders(b *testing.B) {
	r := mustRate(b, 60, time.Minute, 20)
	limits := []Limit{{Name: "requests", Rate: r}, {Name: "environment", Rate: r}}
	statuses := []Status{{Remaining: 12, Next: time.Second}, {Remaining: 3, Next: time.Second}}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRateLimit(AppendPolicy(buf[:0], limits), limits, statuses)
	}
}
