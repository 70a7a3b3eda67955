package main

import (
	"fmt"
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
	t.Parallel()
	for _, mode := range []fleet.Mode{fleet.ModeLease, fleet.ModeExact} {
		for _, nodes := range []int{4, 16} {
			t.Run(fmt.Sprintf("%s %d", mode, nodes), func(t *testing.T) {
				t.Parallel()
				for _, r := range simulated(t, config{nodes: nodes, span: 4 * time.Second, mode: mode}) {
					if float64(r.admitted) < 0.8*r.most()-2 {
						t.Errorf("%s: only %d admitted of %.0f", r.tenant.name, r.admitted, r.most())
					}
				}
			})
		}
	}
}

// Promise: the same with a Redis that is killed and comes back empty, and then is paused for a while: one burst more for each
// of the two, and no node is left without its share.
func TestFleetLosesRedis(t *testing.T) {
	t.Parallel()
	for _, r := range simulated(t, config{
		nodes: 8, span: 8 * time.Second, mode: fleet.ModeLease, restart: 2 * time.Second, pause: 4 * time.Second,
	}) {
		if given := perSecond(r.tenant.rate) * r.took.Seconds(); float64(r.admitted) < 0.5*given {
			t.Errorf("%s: only %d admitted, the rate alone gives %.0f", r.tenant.name, r.admitted, given)
		}
	}
}

// simulated runs a fleet in which nodes join, leave and fall silent, and fails the test where too much was admitted.
func simulated(t *testing.T, c config) []result {
	t.Helper()
	c.churn, c.timeout, c.seed, c.tenants = true, 2*time.Second, 1, tenants(2)[:3]
	if c.restart > 0 {
		c.timeout = 200 * time.Millisecond
	}
	results, err := simulate(t.Context(), redis.Start(t, redis.Options{}), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Logf("%s: %d of %.0f", r.tenant.name, r.admitted, r.most())
		if float64(r.admitted) > r.most() || r.excess() > 0 {
			t.Errorf("%s: %d admitted of %.0f, %.0f too many in some stretch", r.tenant.name, r.admitted, r.most(), r.excess())
		}
	}
	return results
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
