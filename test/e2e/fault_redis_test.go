package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// faultsOfRedis tries all that can happen between a gateway and its Redis, each on a gateway of its own: a second loss
// within ten seconds would not be logged.
func faultsOfRedis(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	u := startUpstreams(t)
	for name, f := range map[string]harness.Fault{
		"Redis slow":               {Latency: 3 * time.Second},
		"Redis hung":               {},
		"Redis cut off":            {},
		"Redis resets connections": {Reset: true, ResetAfter: 1},
		"Redis answers garbage":    {Answers: []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "$9999999999\r\n", "*2\r\n:x\r\n", "+OK\r\n+OK\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fileBackend(t)
			b.load(t, faultTenants(u))
			p := harness.StartProxy(t, server.Addr())
			s := newStage(t, b, b, "timeout 20s", func(o *harness.Options) {
				o.Tenants += fmt.Sprintf("quota redis://%s {\ntimeout 1s\nprefix p%d:\n}\n", p.Address, f.Latency+time.Duration(f.ResetAfter))
			})
			up := func(want float64) func() error {
				return func() error {
					if got := metricOf(t, s.g, "tenantgate_quota_redis_up"); got != want {
						return fmt.Errorf("tenantgate_quota_redis_up is %v, want %v", got, want)
					}
					return nil
				}
			}
			harness.Eventually(t, healWithin, up(1))
			c := trial{
				fault: faultNamed(t, name), felt: up(0), healed: up(1),
				begin: func(*testing.T) { p.Inject(f) },
				end:   func(*testing.T) { p.Cure() },
			}
			switch name {
			case "Redis hung":
				c.begin, c.end = func(*testing.T) { p.Hang() }, func(*testing.T) { p.Resume() }
			case "Redis cut off":
				c.begin, c.end = func(*testing.T) { p.Down() }, func(t *testing.T) { p.Up(t) }
			}
			s.undergo(t, c)
		})
	}
}
