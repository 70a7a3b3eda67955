package main

import (
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/fleet"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: a fleet with skewed clocks and uneven traffic, of which some join, leave and fall silent, never admits more
// than the limit, in any stretch of time, and nearly all of it when more is asked for. The limits are slower here than
// in a run of the command, so that it holds on a machine that is busy with other tests.
func TestFleet(t *testing.T) {
	for _, mode := range []fleet.Mode{fleet.ModeLease, fleet.ModeExact} {
		for _, nodes := range []int{4, 16} {
			server := redis.Start(t, redis.Options{})
			c := config{
				nodes: nodes, span: 4 * time.Second, mode: mode, churn: true, timeout: time.Second, seed: 1,
				tenants: tenants(2)[:3],
			}
			results, err := simulate(t.Context(), server, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				most := r.most()
				t.Logf("%s, %d nodes, %s: %d of %.0f", mode, nodes, r.tenant.name, r.admitted, most)
				if float64(r.admitted) > most || r.excess() > 0 {
					t.Errorf("%s, %d nodes, %s: %d admitted of %.0f, %.0f too many in some stretch", mode, nodes, r.tenant.name, r.admitted, most, r.excess())
				}
				if float64(r.admitted) < 0.9*most-2 {
					t.Errorf("%s, %d nodes, %s: only %d admitted of %.0f", mode, nodes, r.tenant.name, r.admitted, most)
				}
			}
		}
	}
}

// Promise: the simulator itself sees when too much is admitted.
func TestExcess(t *testing.T) {
	rate, err := quota.NewRate(100, time.Second, 50)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		slices []int64
		want   float64
	}{
		"the burst, then the rate":     {[]int64{60, 10, 10, 10, 10}, 0},
		"a burst, a pause and another": {[]int64{60, 0, 0, 0, 0, 60}, 0},
		"two bursts":                   {[]int64{60, 60, 10}, 40},
		"too much later":               {[]int64{0, 0, 0, 30, 30, 30, 30}, 20},
		"nothing":                      {[]int64{0, 0}, 0},
	} {
		r := result{tenant: tenant{rate: rate}, slices: tt.slices}
		if got := r.excess(); got < tt.want-0.001 || got > tt.want+0.001 {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
