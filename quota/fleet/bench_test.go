package fleet

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/test/redis"
)

// benchKey is as random as a UUID, and the same in every run.
func benchKey(tenant, limit int) quota.Key {
	r := rand.New(rand.NewPCG(uint64(tenant), uint64(limit)))
	k := quota.Key{Scope: quota.ScopeTenant + quota.Scope(limit)}
	for i := 0; i < 16; i += 8 {
		v := r.Uint64()
		for j := range 8 {
			k.ID[i+j] = byte(v >> (8 * j))
		}
	}
	return k
}

// BenchmarkTake compares a warm decision from a lease with the local store's, in one run and on the same keys: limits
// that are never exhausted, so that every decision writes.
func BenchmarkTake(b *testing.B) {
	rate := mustRate(b, 1_000_000_000, time.Second, 0)
	server := redis.Start(b, redis.Options{})
	for _, tenants := range []int{1, 16, 10_000} {
		for _, n := range []int{1, 3} {
			limits := make([][]quota.Limit, tenants)
			for t := range limits {
				for i := range n {
					limits[t] = append(limits[t], quota.Limit{
						Name: "requests", Key: benchKey(t, i), Tenant: benchKey(t, 0).ID, Rate: rate,
					})
				}
			}
			for _, name := range []string{"local", "lease"} {
				b.Run("tenants="+strconv.Itoa(tenants)+"/limits="+strconv.Itoa(n)+"/"+name, func(b *testing.B) {
					store := quota.Store(quota.NewLocal(quota.LocalOptions{}))
					if name == "lease" {
						server.Must(b, "FLUSHALL")
						store = newStore(b, server, func(o *Options) { o.Idle = time.Hour })
					}
					warm := make([]quota.Status, n)
					for _, l := range limits {
						for range 200 { // from now on these tenants are busy
							store.Take(time.Now(), 1, l, warm)
						}
					}
					began := calls(store)
					var worker atomic.Uint64
					b.ReportAllocs()
					b.ResetTimer()
					b.RunParallel(func(pb *testing.PB) {
						out := make([]quota.Status, n)
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
					b.ReportMetric(float64(calls(store)-began)/float64(b.N), "calls/op")
				})
			}
		}
	}
}

// calls is how many round trips a store has made.
func calls(s quota.Store) int64 {
	if f, ok := s.(*Store); ok {
		return f.Stats().Calls
	}
	return 0
}
