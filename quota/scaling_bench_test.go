package quota_test

import (
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
)

// BenchmarkScaling shows how a decision with three limits scales with the cores, on one tenant that all of them ask for and
// on many: three rates, or one limit of each kind whose slot is given back.
//
//	go test -run '^$' -bench Scaling -benchtime 100x ./quota
func BenchmarkScaling(b *testing.B) {
	for _, tenants := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			quotatest.Scaling(b, []int{1, 2, 4},
				quotatest.Contender{
					Name: "rates", Store: quota.NewLocal(quota.LocalOptions{}), Limits: quotatest.Unlimited(b, tenants),
				},
				quotatest.Contender{
					Name: "kinds", Store: quota.NewLocal(quota.LocalOptions{}), Limits: quotatest.UnlimitedKinds(b, tenants),
				},
			)
		})
	}
}
