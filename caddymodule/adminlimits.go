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
	if len(list) == 0 {
		return list
	}
	var limits []quota.Limit
	if environment == uuid.Nil {
		limits = levelTenant.append(nil, tenant, tenant, &q)
	} else {
		limits = levelEnvironment.append(nil, tenant, environment, &q)
	}
	statuses := make([]quota.Status, len(limits))
	l.app.runtime.quota.Take(time.Now(), 0, limits, statuses)
	for i := range limits {
		if limits[i].Size() == 0 {
			continue // only counts
		}
		name, s := quotaName(&limits[i]), &statuses[i]
		for j := range list {
			if list[j].Name == name {
				used, remaining, reset := limits[i].Size()-s.Remaining, s.Remaining, int64((s.Reset+time.Second-1)/time.Second)
				list[j].Used, list[j].Remaining, list[j].ResetSeconds = &used, &remaining, &reset
			}
		}
	}
	return list
}
