package router

import (
	"context"
	"fmt"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// admit refuses what must not pass, in this order: the tenant's status, the environment's status, the subscription, who
// asks, and how. What depends on who asks comes after what does not, so that a suspended tenant is suspended for
// everybody.
func (rt *Router) admit(ctx context.Context, r *Request, d *Decision) *Refusal {
	if refusal := admitTenant(d.Resolved.Tenant.Status); refusal != nil {
		return refusal
	}
	if refusal := admitEnvironment(d.Resolved.Environment.Status); refusal != nil {
		return refusal
	}
	if refusal := admitSubscription(d.Resolved.Tenant.SubscriptionExpiresAt, r.Now); refusal != nil {
		return refusal
	}
	if refusal := rt.admitMember(ctx, r.Now, d); refusal != nil {
		return refusal
	}
	return admitPolicy(r, d)
}

// admitTenant refuses by the tenant's status. A status that this binary does not know admits nobody.
func admitTenant(status registry.Status) *Refusal {
	switch status {
	case registry.StatusActive:
		return nil
	case registry.StatusSuspended:
		return refuseTenantSuspended
	case registry.StatusArchived, registry.StatusDestroying:
		return refuseTenantInactive
	case registry.StatusProvisioning:
		return refuseTenantProvisioning
	case registry.StatusFailed:
		return refuseTenantUnavailable
	}
	return refuseTenantUnavailable.WithCause(fmt.Errorf("tenant has the unknown status %q", status))
}

// The refusals of an environment that share their code with the tenant's.
var (
	refuseEnvironmentProvisioning = refuseTenantProvisioning.
					WithDetail("This environment is being set up. Try again shortly.")
	refuseEnvironmentUnavailable = refuseTenantUnavailable.
					WithDetail("This environment is not available at the moment.")
)

// admitEnvironment refuses by the environment's status.
func admitEnvironment(status registry.Status) *Refusal {
	switch status {
	case registry.StatusActive:
		return nil
	case registry.StatusSuspended:
		return refuseEnvironmentSuspended
	case registry.StatusArchived, registry.StatusDestroying:
		return refuseEnvironmentInactive
	case registry.StatusProvisioning:
		return refuseEnvironmentProvisioning
	case registry.StatusFailed:
		return refuseEnvironmentUnavailable
	}
	return refuseEnvironmentUnavailable.WithCause(fmt.Errorf("environment has the unknown status %q", status))
}

// admitSubscription refuses from the moment on at which the subscription expires. The zero time is never.
func admitSubscription(expires, now time.Time) *Refusal {
	if expires.IsZero() || now.Before(expires) {
		return nil
	}
	return refuseSubscriptionExpired
}
