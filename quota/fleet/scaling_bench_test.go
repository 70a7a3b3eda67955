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
// cores ask for and on many.
//
//	go test -run '^$' -bench Scaling -benchtime 100x ./quota/fleet
func BenchmarkScaling(b *testing.B) {
	server := redis.Start(b, redis.Options{})
	for _, tenants := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			server.Must(b, "FLUSHALL")
			s := newStore(b, server, func(o *Options) { o.Idle = time.Hour })
			limits, out := quotatest.Unlimited(b, tenants), make([]quota.Status, 3)
			for _, l := range limits {
				for range 200 { // from now on these tenants are busy
					s.Take(time.Now(), 1, l, out)
				}
			}
			quotatest.Scaling(b, []int{1, 2, 4},
				quotatest.Contender{Name: "local", Store: quota.NewLocal(quota.LocalOptions{}), Limits: limits},
				quotatest.Contender{Name: "lease", Store: s, Limits: limits},
			)
		})
	}
}
