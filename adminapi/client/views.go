package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// ListPlans returns a page of plans, at most 500.
func (c *Client) ListPlans(ctx context.Context, p registry.Page) (*adminapi.List[registry.Plan], error) {
	return get[adminapi.List[registry.Plan]](ctx, c, path("_plans"), pageQuery(p.Limit, p.Cursor))
}

// GetPlan returns a plan by its name.
func (c *Client) GetPlan(ctx context.Context, name string) (*registry.Plan, error) {
	return get[registry.Plan](ctx, c, path("_plans", name), nil)
}

// CreatePlan creates a plan that is not there yet.
func (c *Client) CreatePlan(ctx context.Context, p adminapi.PlanRequest) (*registry.Plan, error) {
	return send[registry.Plan](ctx, c, request{method: http.MethodPost, path: path("_plans"), body: p})
}

// PutPlan creates a plan, or changes what is given of it. version is what the caller has read; 0 for whatever there is, and
// [registry.NotThere] for a plan that must not be there yet.
func (c *Client) PutPlan(ctx context.Context, p adminapi.PlanRequest, version int64) (*registry.Plan, error) {
	return send[registry.Plan](ctx, c, request{
		method: http.MethodPut, path: path("_plans", p.Name), body: p, version: version, onlyNew: version == registry.NotThere,
	})
}

// DeletePlan removes a plan; with force also one that tenants have. version is what the caller has read; 0 for whatever
// there is.
func (c *Client) DeletePlan(ctx context.Context, name string, version int64, force bool) error {
	repeated := ""
	if force {
		repeated = name
	}
	return c.remove(ctx, path("_plans", name), version, repeated)
}

// AuditFilter says which rows of the audit log [Client.ListAudit] returns: those for which everything holds that is given.
type AuditFilter struct {
	// Tenant and Environment are ids or slugs; what is gone is found by its id.
	Tenant, Environment string
	// Actor is exactly this one.
	Actor string
	// Action is exactly this one, or with a dot at its end, like "organization.", all that begin with it.
	Action string
	// Since is the first instant, Until the first one after; zero: no bound.
	Since, Until time.Time
	registry.Page
}

// ListAudit returns a page of the audit log, at most 500 rows, the newest first.
func (c *Client) ListAudit(ctx context.Context, f AuditFilter) (*adminapi.List[registry.AuditEntry], error) {
	q := pageQuery(f.Limit, f.Cursor)
	set(q, "environment", f.Environment)
	set(q, "actor", f.Actor)
	set(q, "action", f.Action)
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	set(q, "tenant", f.Tenant)
	return get[adminapi.List[registry.AuditEntry]](ctx, c, path("_audit"), q)
}

// Usage returns the limits of a tenant and its environments, and what is spent of them.
func (c *Client) Usage(ctx context.Context, tenant string) (*adminapi.Usage, error) {
	return get[adminapi.Usage](ctx, c, path(tenant, "usage"), nil)
}

// UsageFilter says which rows [Client.ListUsage] returns.
type UsageFilter struct {
	// Tenant is an id or a slug; "" for all.
	Tenant string
	// Period is month by default.
	Period registry.UsagePeriod
	// From and To bound where periods begin; zero: no bound.
	From, To time.Time
	registry.Page
}

// ListUsage returns a page of what was used, at most 500 rows.
func (c *Client) ListUsage(ctx context.Context, f UsageFilter) (*adminapi.List[registry.UsageRow], error) {
	q := pageQuery(f.Limit, f.Cursor)
	set(q, "tenant", f.Tenant)
	set(q, "period", string(f.Period))
	for name, t := range map[string]time.Time{"from": f.From, "to": f.To} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return get[adminapi.List[registry.UsageRow]](ctx, c, path("_usage"), q)
}

// Cache returns the counters of the gateway's cache.
func (c *Client) Cache(ctx context.Context) (*adminapi.CacheStats, error) {
	return get[adminapi.CacheStats](ctx, c, path("_cache"), nil)
}

// Purge drops a tenant, by id or slug, from the gateway's cache; "" drops everything.
func (c *Client) Purge(ctx context.Context, tenant string) error {
	q := request{method: http.MethodPost, path: path("_cache", "purge")}
	if tenant != "" {
		q.body = adminapi.PurgeRequest{Tenant: tenant}
	}
	return c.do(ctx, q, nil)
}

// Explain explains how the gateway would lead a request.
func (c *Client) Explain(ctx context.Context, r adminapi.ExplainRequest) (*adminapi.Explanation, error) {
	return send[adminapi.Explanation](ctx, c, request{method: http.MethodPost, path: path("_resolve"), body: r})
}

// OpenAPI returns the OpenAPI document as it stands.
func (c *Client) OpenAPI(ctx context.Context) (map[string]any, error) {
	v, err := get[map[string]any](ctx, c, path("_openapi.json"), url.Values{})
	if err != nil {
		return nil, err
	}
	return *v, nil
}

// ReportUsage records what an application uses of a quota that it owns, one of [registry.ResourceMetrics], and says whether
// that is within it. environment is an id or a slug; empty for the tenant as a whole.
func (c *Client) ReportUsage(ctx context.Context, tenant, environment, metric string, used int64) (*registry.QuotaResult, error) {
	return c.resource(ctx, path(tenant, "usage"), environment, metric, used)
}

// CheckUsage says whether an application may use so much more than it has reported. It records nothing.
func (c *Client) CheckUsage(ctx context.Context, tenant, environment, metric string, more int64) (*registry.QuotaResult, error) {
	return c.resource(ctx, path(tenant, "usage", "check"), environment, metric, more)
}

func (c *Client) resource(ctx context.Context, path, environment, metric string, used int64) (*registry.QuotaResult, error) {
	return send[registry.QuotaResult](ctx, c, request{method: http.MethodPost, path: path, body: adminapi.ResourceUsageRequest{
		Metric: metric, Used: used, Environment: environment,
	}})
}
