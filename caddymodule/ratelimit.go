package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// The names of the policies in the RateLimit headers.
const (
	policyTenant      = "requests"
	policyEnvironment = "environment"
)

// quotaRateLimit is the name of the quota behind both policies, as in the registry.
const quotaRateLimit = "apiRateLimit"

// The names of the rate limit headers, as keys of a header map.
var (
	keyPolicy     = http.CanonicalHeaderKey(quota.HeaderPolicy)
	keyRateLimit  = http.CanonicalHeaderKey(quota.HeaderRateLimit)
	keyXLimit     = http.CanonicalHeaderKey(quota.HeaderXLimit)
	keyXRemaining = http.CanonicalHeaderKey(quota.HeaderXRemaining)
	keyXReset     = http.CanonicalHeaderKey(quota.HeaderXReset)
)

// appendLimits appends the rate limits of res: the tenant's, which counts across its environments, and the
// environment's own on top. A rate that nothing can mean (a registry written by hand) is no limit.
func appendLimits(limits []quota.Limit, res *registry.Resolved) []quota.Limit {
	if q := &res.Tenant.Quotas; q.APIRateLimit != 0 {
		if rate, err := quota.NewRate(q.APIRateLimit, time.Minute, q.Burst); err == nil {
			limits = append(limits, quota.Limit{
				Name: policyTenant, Key: quota.Key{Scope: quota.ScopeTenant, ID: res.Tenant.ID}, Rate: rate,
			})
		}
	}
	if q := &res.Environment.Quotas; q.APIRateLimit != 0 {
		if rate, err := quota.NewRate(q.APIRateLimit, time.Minute, q.Burst); err == nil {
			limits = append(limits, quota.Limit{
				Name: policyEnvironment, Key: quota.Key{Scope: quota.ScopeEnvironment, ID: res.Environment.ID}, Rate: rate,
			})
		}
	}
	return limits
}

// overQuota is the refusal of a request that a limit has refused.
func overQuota(limits []quota.Limit, statuses []quota.Status) *router.Refusal {
	e := quota.Enforce(limits, statuses)
	return router.RefuseQuota(router.Exceeded{Quota: quotaRateLimit, Usage: e.CurrentUsage, Limit: e.Limit},
		quota.RetryAfter(statuses))
}

// limitWriter puts the gateway's rate limit headers into the response, in place of those that an upstream sends: a
// proxy adds the upstream's to what is there, and a client could not tell them apart.
type limitWriter struct {
	caddyhttp.ResponseWriterWrapper
	// policy, rateLimit are the values of the headers; x are those of the X-RateLimit headers, or empty.
	policy, rateLimit string
	x                 [3]string
	memory            [5]string
}

// set writes the headers.
func (w *limitWriter) set() {
	h := w.ResponseWriter.Header()
	w.memory = [5]string{w.policy, w.rateLimit, w.x[0], w.x[1], w.x[2]}
	h[keyPolicy] = w.memory[0:1:1]
	h[keyRateLimit] = w.memory[1:2:2]
	if w.x[0] != "" {
		h[keyXLimit], h[keyXRemaining], h[keyXReset] = w.memory[2:3:3], w.memory[3:4:4], w.memory[4:5:5]
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *limitWriter) WriteHeader(status int) {
	h := w.ResponseWriter.Header()
	if len(h[keyPolicy]) > 1 || len(h[keyRateLimit]) > 1 ||
		len(h[keyXLimit]) > 1 || len(h[keyXRemaining]) > 1 || len(h[keyXReset]) > 1 {
		w.set()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Interface guards
var _ http.ResponseWriter = (*limitWriter)(nil)
