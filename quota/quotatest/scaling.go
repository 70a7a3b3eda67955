package quotatest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Contender is a store under load, and the limits of its tenants.
type Contender struct {
	Name   string
	Store  quota.Store
	Limits [][]quota.Limit
}

// slice is how long one contender runs at a time: longer than a scheduler's whim, shorter than a machine's moods.
const slice = 4 * time.Millisecond

// Scaling measures how many decisions a second each store makes on so many goroutines. In each round of the benchmark every
// store has a short turn with every number of goroutines, so that all see the same machine. Each decision reads the
// clock once and picks a random tenant; slots of concurrency are given back at once.
//
// It reports of each store the nanoseconds per decision of one goroutine ("local-ns"), and medians over the rounds of the
// ratios of all goroutines' throughput: against one goroutine ("local-4/1"), and against the first store with as many
// ("lease/local-4").
func Scaling(b *testing.B, procs []int, contenders ...Contender) {
	type rates [][]float64 // of a round, by contender and number of goroutines
	var rounds []rates
	for range 3 { // warm-up
		for _, c := range contenders {
			c.run(procs[len(procs)-1])
		}
	}
	b.ResetTimer()
	for b.Loop() {
		round := make(rates, len(contenders))
		for i, c := range contenders {
			for _, n := range procs {
				round[i] = append(round[i], c.run(n))
			}
		}
		rounds = append(rounds, round)
	}
	median := func(f func(rates) float64) float64 {
		list := make([]float64, len(rounds))
		for i, r := range rounds {
			list[i] = f(r)
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	for i, c := range contenders {
		b.ReportMetric(median(func(r rates) float64 { return 1e9 / r[i][0] }), c.Name+"-ns")
		for j, n := range procs {
			if j > 0 {
				b.ReportMetric(median(func(r rates) float64 { return r[i][j] / r[i][0] }), fmt.Sprintf("%s-%d/%d", c.Name, n, procs[0]))
			}
			if i > 0 {
				b.ReportMetric(median(func(r rates) float64 { return r[i][j] / r[0][j] }), fmt.Sprintf("%s/%s-%d", c.Name, contenders[0].Name, n))
			}
		}
	}
	b.ReportMetric(0, "ns/op") // a round is no operation
}

// run returns the decisions per second of so many goroutines together.
func (c *Contender) run(goroutines int) float64 {
	var (
		all     sync.WaitGroup
		total   atomic.Int64
		stop    atomic.Bool
		started = time.Now()
		slots   = slices.ContainsFunc(c.Limits[0], func(l quota.Limit) bool { return l.Concurrent > 0 })
	)
	for range goroutines {
		all.Go(func() {
			out := make([]quota.Status, len(c.Limits[0]))
			random := rand.New(rand.NewPCG(rand.Uint64(), 1))
			n := int64(0)
			for ; n == 0 || !stop.Load(); n++ {
				now := time.Now()
				limits := c.Limits[random.IntN(len(c.Limits))]
				if c.Store.Take(now, 1, limits, out) && slots {
					c.Store.Release(limits)
				}
				if now.Sub(started) > slice {
					stop.Store(true)
				}
			}
			total.Add(n)
		})
	}
	all.Wait()
	return float64(total.Load()) / time.Since(started).Seconds()
}

// Unlimited returns three limits for each of so many tenants, which nobody can exhaust: a billion requests a second. Their
// keys are as random as UUIDs, and the same in every run.
func Unlimited(tb testing.TB, tenants int) [][]quota.Limit {
	tb.Helper()
	rate, err := quota.NewRate(1_000_000_000, time.Second, 0)
	if err != nil {
		tb.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{})
	limits := make([][]quota.Limit, tenants)
	for i := range limits {
		limits[i] = make([]quota.Limit, 3)
		for j := range limits[i] {
			l := &limits[i][j]
			*l = quota.Limit{Name: "requests", Key: quota.Key{Scope: quota.ScopeTenant + quota.Scope(j)}, Rate: rate}
			_, _ = random.Read(l.Key.ID[:]) // never fails
			l.Tenant = limits[i][0].Key.ID
		}
	}
	return limits
}

// UnlimitedKinds returns a rate, an allowance per month and concurrency for each of so many tenants, which nobody can exhaust.
func UnlimitedKinds(tb testing.TB, tenants int) [][]quota.Limit {
	tb.Helper()
	all := Unlimited(tb, tenants)
	for _, limits := range all {
		for i := range limits {
			limits[i].Key = limits[0].Key
		}
		limits[1].Name, limits[1].Rate, limits[1].Allowance = "month", quota.Rate{}, quota.Allowance{Max: quota.MaxRequests, Period: quota.PeriodMonth}
		limits[2].Name, limits[2].Rate, limits[2].Concurrent = "concurrency", quota.Rate{}, quota.MaxRequests
	}
	return all
}
