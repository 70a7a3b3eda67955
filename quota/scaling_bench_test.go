package quota_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/quotatest"
)

// BenchmarkScaling shows how a decision with three limits scales with the cores, on one tenant that all of them ask for and
// on many.
//
//	go test -run '^$' -bench Scaling -benchtime 100x ./quota
func BenchmarkScaling(b *testing.B) {
	for _, tenants := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			quotatest.Scaling(b, []int{1, 2, 4}, quotatest.Contender{
				Name: "local", Store: quota.NewLocal(quota.LocalOptions{}), Limits: randomLimits(b, tenants),
			})
		})
	}
}

// randomLimits are three limits for each tenant, which are never exhausted. Their keys are as random as UUIDs, and the same
// in every run.
func randomLimits(b *testing.B, tenants int) [][]quota.Limit {
	rate, err := quota.NewRate(1_000_000_000, time.Second, 0)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{})
	limits := make([][]quota.Limit, tenants)
	for i := range limits {
		limits[i] = make([]quota.Limit, 3)
		for j := range limits[i] {
			l := &limits[i][j]
			*l = quota.Limit{Name: "requests", Key: quota.Key{Scope: quota.ScopeTenant + quota.Scope(j)}, Rate: rate}
			_, _ = random.Read(l.Key.ID[:]) // never fails
		}
	}
	return limits
}
