package caddymodule

import (
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// Limits implements adminapi.Live. It looks at the very counts that requests are charged to, at a cost of 0.
func (l *liveGateway) Limits(tenant, environment uuid.UUID, q registry.Quotas) []adminapi.LimitUsage {
	list := adminapi.Limits(q)
	res := &registry.Resolved{Tenant: registry.ResolvedTenant{ID: tenant, Quotas: q}}
	if environment != uuid.Nil {
		res.Tenant.Quotas, res.Environment = registry.Quotas{}, registry.ResolvedEnvironment{ID: environment, Quotas: q}
	}
	limits := appendLimits(nil, res)
	statuses := make([]quota.Status, len(limits))
	l.app.runtime.quota.Take(time.Now(), 0, limits, statuses)
	for i := range limits {
		for j := range list {
			if list[j].Name == quotaRateLimit {
				s := &statuses[i]
				used, remaining, reset := limits[i].Rate.Burst()-s.Remaining, s.Remaining, int64((s.Reset+time.Second-1)/time.Second)
				list[j].Used, list[j].Remaining, list[j].ResetSeconds = &used, &remaining, &reset
			}
		}
	}
	return list
}
