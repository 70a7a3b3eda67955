package quota

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// kinds are the limits of a tenant that has one of each kind.
func kinds(t testing.TB, n int) []Limit {
	return []Limit{
		{Name: "requests", Key: benchKey(n, 0), Rate: mustRate(t, 1_000_000_000, time.Second, 0)},
		{Name: "month", Key: benchKey(n, 0), Allowance: Allowance{MaxRequests, PeriodMonth}},
		{Name: "concurrency", Key: benchKey(n, 0), Concurrent: MaxRequests},
	}
}

// BenchmarkKinds spends from a rate, an allowance and concurrency, and gives the slot back: a warm decision with three
// limits.
func BenchmarkKinds(b *testing.B) {
	for _, tenants := range []int{1, 10_000} {
		b.Run("tenants="+strconv.Itoa(tenants), func(b *testing.B) {
			limits := make([][]Limit, tenants)
			l, now := NewLocal(LocalOptions{}), time.Now()
			for i := range limits {
				limits[i] = kinds(b, i)
				l.Take(now, 1, limits[i], make([]Status, 3))
				l.Release(limits[i])
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				out := make([]Status, 3)
				now := time.Now()
				rnd := rand.New(rand.NewPCG(rand.Uint64(), 1))
				for pb.Next() {
					now = now.Add(10 * time.Nanosecond)
					mine := limits[rnd.IntN(tenants)]
					l.Take(now, 1, mine, out)
					l.Release(mine)
				}
			})
		})
	}
}
