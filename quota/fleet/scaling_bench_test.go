package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
	"github.com/tenantgate/tenantgate/test/redis"
)

// BenchmarkScaling compares a decision from leases with the local store's, with three limits each, on one tenant that all
// cores ask for and on many: three rates, or one limit of each kind whose slot is given back.
//
//	go test -run '^$' -bench Scaling -benchtime 100x ./quota/fleet
func BenchmarkScaling(b *testing.B) {
	server := redis.Start(b, redis.Options{})
	for name, limitsOf := range map[string]func(testing.TB, int) [][]quota.Limit{
		"rates": quotatest.Unlimited, "kinds": quotatest.UnlimitedKinds,
	} {
		for _, tenants := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/tenants=%d", name, tenants), func(b *testing.B) {
				server.Must(b, "FLUSHALL")
				s := newStore(b, server, func(o *Options) { o.Idle = time.Hour })
				limits, out := limitsOf(b, tenants), make([]quota.Status, 3)
				for _, l := range limits {
					for range 200 { // from now on these tenants are busy
						if s.Take(time.Now(), 1, l, out) {
							s.Release(l)
						}
					}
				}
				quotatest.Scaling(b, []int{1, 2, 4},
					quotatest.Contender{Name: "local", Store: quota.NewLocal(quota.LocalOptions{}), Limits: limits},
					quotatest.Contender{Name: "lease", Store: s, Limits: limits},
				)
			})
		}
	}
}
