package quota

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/time/rate"
)

// The benchmarks compare, in one run and on the same keys, Local with a Local behind one mutex map, with a sharded
// RWMutex map, and with golang.org/x/time/rate in such a map. Only ratios within one run mean anything.

// mutexStore is GCRA behind one mutex: what Local has to be faster than to be worth its care.
type mutexStore struct {
	mu    sync.Mutex
	epoch time.Time
	tats  map[Key]instant
}

func newMutexStore(epoch time.Time) *mutexStore {
	return &mutexStore{epoch: epoch, tats: make(map[Key]instant)}
}

func (s *mutexStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := true
	for i := range limits {
		r := &limits[i].Rate
		if d := debtOf(s.tats[limits[i].Key], at); !r.fits(d, cost) {
			allowed = false
			r.refusal(d, cost, &out[i])
		} else {
			r.status(d, &out[i])
		}
	}
	if allowed {
		for i := range limits {
			r := &limits[i].Rate
			d := debtOf(s.tats[limits[i].Key], at)
			s.tats[limits[i].Key] = r.after(d, at, cost)
			r.status(d+span(cost)*r.interval, &out[i])
		}
	}
	return allowed
}

// shardedStore is Local's arithmetic over a sharded map with read-write locks, to see whether the lock-free map pays.
type shardedStore struct {
	epoch  time.Time
	shards [64]struct {
		sync.RWMutex
		m map[Key]*cell
		_ [32]byte
	}
}

func newShardedStore(epoch time.Time) *shardedStore {
	s := &shardedStore{epoch: epoch}
	for i := range s.shards {
		s.shards[i].m = make(map[Key]*cell)
	}
	return s
}

func (s *shardedStore) cell(k Key) *cell {
	shard := &s.shards[k.ID[15]%64]
	shard.RLock()
	c := shard.m[k]
	shard.RUnlock()
	if c == nil {
		shard.Lock()
		if c = shard.m[k]; c == nil {
			c = new(cell)
			shard.m[k] = c
		}
		shard.Unlock()
	}
	return c
}

func (s *shardedStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	for i := range limits {
		r, c := &limits[i].Rate, s.cell(limits[i].Key)
		for {
			tat := c.load()
			d := debtOf(tat, at)
			if !r.fits(d, cost) {
				r.refusal(d, cost, &out[i])
				return false
			}
			if c.swap(tat, r.after(d, at, cost)) {
				r.status(d+span(cost)*r.interval, &out[i])
				break
			}
		}
	}
	return true
}

// xrateStore is golang.org/x/time/rate in a sharded map.
type xrateStore struct {
	shards [64]struct {
		sync.RWMutex
		m map[Key]*rate.Limiter
		_ [32]byte
	}
}

func newXrateStore(time.Time) *xrateStore {
	s := &xrateStore{}
	for i := range s.shards {
		s.shards[i].m = make(map[Key]*rate.Limiter)
	}
	return s
}

func (s *xrateStore) Take(now time.Time, cost int64, limits []Limit, _ []Status) bool {
	for i := range limits {
		shard := &s.shards[limits[i].Key.ID[15]%64]
		shard.RLock()
		lim := shard.m[limits[i].Key]
		shard.RUnlock()
		if lim == nil {
			r := limits[i].Rate
			lim = rate.NewLimiter(rate.Limit(float64(r.requests)/r.period.Seconds()), int(r.burst))
			shard.Lock()
			shard.m[limits[i].Key] = lim
			shard.Unlock()
		}
		if !lim.AllowN(now, int(cost)) {
			return false
		}
	}
	return true
}

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

// BenchmarkTake spends from limits that are never exhausted, so that every decision writes.
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
