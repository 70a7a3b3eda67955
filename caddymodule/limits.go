package caddymodule

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// level is who has quotas, and the names of its policies in the RateLimit headers.
type level struct {
	scope                         quota.Scope
	rate, day, month, concurrency string
	// slot is the bit in state.slots that says that a slot of this level was taken.
	slot uint8
}

var (
	levelTenant = level{
		scope: quota.ScopeTenant, rate: "requests", day: "day", month: "month", concurrency: "concurrency", slot: 1,
	}
	levelEnvironment = level{
		scope: quota.ScopeEnvironment, rate: "environment", day: "environment-day", month: "environment-month",
		concurrency: "environment-concurrency", slot: 2,
	}
	levelKey = level{
		scope: quota.ScopeKey, rate: "key", day: "key-day", month: "key-month", concurrency: "key-concurrency", slot: 4,
	}
)

// maxLimits is how many limits can apply to a request: a rate, two allowances and concurrency for each of the tenant, the
// environment and the API key.
const maxLimits = 12

// appendLimits appends the limits of res: the tenant's, which count across its environments, the environment's own on top,
// and those of the API key, if there is one.
func appendLimits(limits []quota.Limit, res *registry.Resolved, credential *registry.Credential) []quota.Limit {
	limits = levelTenant.append(limits, res.Tenant.ID, res.Tenant.ID, &res.Tenant.Quotas)
	limits = levelEnvironment.append(limits, res.Tenant.ID, res.Environment.ID, quotasOrNone(res.Environment.Quotas))
	if credential != nil && credential.Quotas != (registry.Quotas{}) {
		// An id that is no UUID is in no registry that has its checks on; all such keys of a tenant then share one limit.
		id, _ := uuid.Parse(credential.ID)
		limits = levelKey.append(limits, res.Tenant.ID, id, &credential.Quotas)
	}
	return limits
}

var noQuotas registry.Quotas

// quotasOrNone returns quotas that may be nil for none.
func quotasOrNone(q *registry.Quotas) *registry.Quotas {
	if q == nil {
		return &noQuotas
	}
	return q
}

// append appends the limits of one level. The tenant's and the environment's requests are counted in any case, so that they
// can be billed, and so that an allowance that is given in mid-period knows what was spent.
func (l *level) append(limits []quota.Limit, tenant, id uuid.UUID, q *registry.Quotas) []quota.Limit {
	if q.APIRateLimit != 0 {
		limits = l.room(limits, tenant, id)
		limit := &limits[len(limits)-1]
		limit.Name, limit.Rate = l.rate, rateOf(q)
	}
	if q.MaxAPICallsPerDay != 0 || q.MaxAPICallsPerMonth == 0 && l.scope != quota.ScopeKey {
		limits = l.room(limits, tenant, id)
		limit := &limits[len(limits)-1]
		limit.Name, limit.Allowance = l.day, quota.Allowance{Max: within(q.MaxAPICallsPerDay), Period: quota.PeriodDay}
	}
	if q.MaxAPICallsPerMonth != 0 {
		limits = l.room(limits, tenant, id)
		limit := &limits[len(limits)-1]
		limit.Name, limit.Allowance = l.month, quota.Allowance{Max: within(q.MaxAPICallsPerMonth), Period: quota.PeriodMonth}
	}
	if q.MaxConcurrentRequests != 0 {
		limits = l.room(limits, tenant, id)
		limit := &limits[len(limits)-1]
		limit.Name, limit.Concurrent = l.concurrency, within(q.MaxConcurrentRequests)
	}
	return limits
}

// room appends a limit of the level that limits nothing yet. A limit is large enough for its copies to be noticed: it is
// made in its place.
func (l *level) room(limits []quota.Limit, tenant, id uuid.UUID) []quota.Limit {
	n := len(limits)
	if n == cap(limits) {
		limits = slices.Grow(limits, 1)
	}
	limits = limits[:n+1]
	limit := &limits[n]
	*limit = quota.Limit{}
	limit.Key.Scope, limit.Key.ID, limit.Tenant = l.scope, id, tenant
	return limits
}

// within brings a value that no quota can have, from a registry written by hand, to the nearest one that can: never no
// limit at all. 0 stays 0.
func within(v int64) int64 {
	if v == 0 {
		return 0
	}
	return min(max(v, 1), quota.MaxRequests)
}

// rateOf returns the rate of quotas that have one. What no rate can be (a plan's slow rate with a tenant's large burst, a
// registry written by hand) becomes the nearest one that can: never no limit at all.
func rateOf(q *registry.Quotas) quota.Rate {
	rate, err := quota.NewRate(q.APIRateLimit, time.Minute, q.Burst)
	if err != nil {
		requests := min(max(q.APIRateLimit, 1), quota.MaxRequests)
		burst := q.Burst
		if burst == 0 {
			burst = requests
		}
		// It cannot fail: requests and burst are within their bounds.
		rate, _ = quota.NewRate(requests, time.Minute, min(max(burst, 1), quota.MaxBurst(requests, time.Minute)))
	}
	return rate
}

// quotaName returns the name in the registry of the quota behind a limit.
func quotaName(l *quota.Limit) string {
	switch {
	case l.Key.Scope == quota.ScopeRoute:
		return l.Name
	case l.Allowance.Period == quota.PeriodDay:
		return "maxApiCallsPerDay"
	case l.Allowance.Period == quota.PeriodMonth:
		return "maxApiCallsPerMonth"
	case l.Concurrent > 0:
		return "maxConcurrentRequests"
	}
	return "apiRateLimit"
}

// overQuota is the refusal of a request that a limit has refused; tightest is the index of the one that it speaks of.
func overQuota(limits []quota.Limit, statuses []quota.Status, tightest int) *router.Refusal {
	e := quota.Enforce(limits[tightest:tightest+1], statuses[tightest:tightest+1])
	exceeded := router.Exceeded{Quota: quotaName(&limits[tightest]), Usage: e.CurrentUsage, Limit: e.Limit}
	var policies [maxLimits]string
	exceeded.Policies = policies[:0]
	for i := range limits {
		if statuses[i].Exceeded && !limits[i].Shadow {
			exceeded.Policies = append(exceeded.Policies, limits[i].Name)
		}
	}
	return router.RefuseQuota(exceeded, quota.RetryAfter(statuses))
}

// slotsOf returns which levels among the limits take a slot.
func slotsOf(limits []quota.Limit) (slots uint8) {
	for i := range limits {
		if limits[i].Concurrent == 0 {
			continue
		}
		for _, l := range [...]*level{&levelTenant, &levelEnvironment, &levelKey} {
			if l.scope == limits[i].Key.Scope {
				slots |= l.slot
			}
		}
	}
	return slots
}

// releaseSlots gives back the slots that the request has taken, when the handlers behind have returned: those of a proxied
// WebSocket or stream return when it ends. It runs when a handler panics, too.
func (h *Handler) releaseSlots(st *state) {
	var memory [3]quota.Limit
	limits := memory[:0]
	res := st.decision.Resolved
	add := func(l *level, id uuid.UUID) {
		if st.slots&l.slot != 0 {
			limits = append(limits, quota.Limit{Key: quota.Key{Scope: l.scope, ID: id}, Tenant: res.Tenant.ID, Concurrent: 1})
		}
	}
	add(&levelTenant, res.Tenant.ID)
	add(&levelEnvironment, res.Environment.ID)
	if c := st.decision.Credential; c != nil {
		id, _ := uuid.Parse(c.ID) // as in appendLimits
		add(&levelKey, id)
	}
	st.slots = 0
	h.runtime.quota.Release(limits)
}
