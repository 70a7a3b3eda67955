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

// appendLimits appends the rate limits of res: the tenant's, which counts across its environments, and the
// environment's own on top.
func appendLimits(limits []quota.Limit, res *registry.Resolved) []quota.Limit {
	if q := &res.Tenant.Quotas; q.APIRateLimit != 0 {
		limits = append(limits, quota.Limit{
			Name: policyTenant, Key: quota.Key{Scope: quota.ScopeTenant, ID: res.Tenant.ID}, Rate: rateOf(q),
		})
	}
	if q := &res.Environment.Quotas; q.APIRateLimit != 0 {
		limits = append(limits, quota.Limit{
			Name: policyEnvironment, Key: quota.Key{Scope: quota.ScopeEnvironment, ID: res.Environment.ID}, Rate: rateOf(q),
		})
	}
	return limits
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
	// values are those of limitKeys; empty means that the header is not sent. The response's header map points here.
	values [len(limitKeys)]string
}

// limitKeys are the rate limit headers, as keys of a header map.
var limitKeys = [...]string{
	http.CanonicalHeaderKey(quota.HeaderPolicy),
	http.CanonicalHeaderKey(quota.HeaderRateLimit),
	http.CanonicalHeaderKey(quota.HeaderXLimit),
	http.CanonicalHeaderKey(quota.HeaderXRemaining),
	http.CanonicalHeaderKey(quota.HeaderXReset),
}

// set writes the headers.
func (w *limitWriter) set() {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if w.values[i] != "" {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *limitWriter) WriteHeader(status int) {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if w.values[i] != "" && len(h[key]) > 1 {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Interface guards
var _ http.ResponseWriter = (*limitWriter)(nil)
