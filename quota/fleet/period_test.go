package fleet

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: when the month changes, by Redis's clock, an allowance begins anew on all gateways: whole, and with nothing of what was
// on lease of the month before.
func TestMonthChanges(t *testing.T) {
	const most = 1000
	month, err := quota.NewAllowance(most, quota.PeriodMonth)
	if err != nil {
		t.Fatal(err)
	}
	limits := []quota.Limit{{Name: "month", Key: quotatest.Key(quota.ScopeTenant, 1), Allowance: month}}
	for _, mode := range []Mode{ModeLease, ModeExact} {
		server := redis.Start(t, redis.Options{})
		var later atomic.Int64 // ns by which the clocks are moved
		clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		stores := make([]*Store, 2)
		for i := range stores {
			// No heartbeat reads Redis's real time again.
			stores[i] = newStore(t, server, func(o *Options) { o.Mode, o.Now, o.Heartbeat = mode, clock, time.Hour })
		}
		take := func(n int) (admitted int) {
			out := make([]quota.Status, 1)
			for range n {
				for _, s := range stores {
					if s.Take(clock(), 1, limits, out) {
						admitted++
					}
				}
			}
			return admitted
		}
		if n := take(200); n != 400 {
			t.Fatalf("%s: %d of 400 were admitted", mode, n)
		}
		const days = 32 * 24 * time.Hour // always leads into another month
		later.Store(int64(days))
		for _, s := range stores {
			s.link.offset.Add(days.Microseconds())
		}
		admitted := 0
		eventually(t, func() bool { // what one has on lease goes back before the other gets it
			admitted += take(most)
			return admitted >= most
		})
		if admitted != most {
			t.Errorf("%s: %d were admitted in the new month, of %d", mode, admitted, most)
		}
	}
}
