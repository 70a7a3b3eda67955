package adminapi

import (
	"context"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

func listAudit(ctx context.Context, c *call) (answer, error) {
	tenant, err := c.query.text("tenant")
	if err != nil {
		return answer{}, err
	}
	return c.audit(ctx, tenant)
}

func listTenantAudit(ctx context.Context, c *call) (answer, error) {
	return c.audit(ctx, c.PathValue("tenant"))
}

// audit answers with rows of the audit log. What is gone is found by its id.
func (c *call) audit(ctx context.Context, tenant string) (answer, error) {
	var f registry.AuditFilter
	environment, err := c.query.text("environment")
	if err != nil {
		return answer{}, err
	}
	if tenant != "" && uuid.Validate(tenant) != nil {
		t, err := c.Store.GetTenant(ctx, tenant)
		if err != nil {
			return answer{}, err
		}
		tenant = t.ID.String()
	}
	if environment != "" && uuid.Validate(environment) != nil {
		if tenant == "" {
			return answer{}, invalid("environment", "must be an id where no tenant is given")
		}
		e, err := c.Store.GetEnvironment(ctx, tenant, environment)
		if err != nil {
			return answer{}, err
		}
		environment = e.ID.String()
	}
	f.Tenant, _ = uuid.Parse(tenant)           // "" is the nil UUID
	f.Environment, _ = uuid.Parse(environment) // likewise
	for name, to := range map[string]*string{"actor": &f.Actor, "action": &f.Action} {
		if *to, err = c.query.text(name); err != nil {
			return answer{}, err
		}
	}
	if f.Since, err = c.query.instant("since"); err != nil {
		return answer{}, err
	}
	if f.Until, err = c.query.instant("until"); err != nil {
		return answer{}, err
	}
	if f.Page, err = c.query.page(); err != nil {
		return answer{}, err
	}
	return list(c.Store.ListAudit(ctx, f))
}

func getCache(_ context.Context, c *call) (answer, error) {
	if c.Live == nil {
		return answer{}, errNoGateway
	}
	return answer{body: c.Live.Cache()}, nil
}

func purgeCache(ctx context.Context, c *call) (answer, error) {
	var key string
	if len(c.body) > 0 {
		if err := decode(c.body, fields{"tenant": text(&key)}); err != nil {
			return answer{}, err
		}
		if key == "" {
			return answer{}, &bodyError{invalid("tenant", "an id or a slug is needed; without a body everything is dropped")}
		}
	}
	if c.Live == nil {
		return answer{}, errNoGateway
	}
	if key == "" {
		c.Live.Purge()
		return removed(nil)
	}
	id, err := uuid.Parse(key)
	if err != nil || len(key) != 36 {
		t, err := c.Store.GetTenant(ctx, key)
		if err != nil {
			return answer{}, err
		}
		id = t.ID
	}
	c.Live.PurgeTenant(id) // by id also while the registry is down, and for a tenant that is gone
	return removed(nil)
}

// getUsage answers with the limits of a tenant and its environments.
func getUsage(ctx context.Context, c *call) (answer, error) {
	t, err := c.Store.GetTenant(ctx, c.PathValue("tenant"))
	if err != nil {
		return answer{}, err
	}
	q := t.Quotas
	if p, err := c.Store.GetPlan(ctx, t.Plan); err == nil {
		q = p.Quotas.Override(t.Quotas)
	} else if registry.Code(err) != registry.CodeNotFound {
		return answer{}, err
	}
	environments, _, err := c.Store.ListEnvironments(ctx, t.ID.String(), registry.EnvironmentFilter{Page: registry.Page{Limit: registry.MaxPage}})
	if err != nil {
		return answer{}, err
	}
	u := Usage{TenantID: t.ID, Slug: t.Slug, Gateway: c.Live != nil, Limits: c.limits(t.ID, uuid.Nil, q), Environments: []EnvironmentUsage{}}
	for _, e := range environments {
		u.Environments = append(u.Environments, EnvironmentUsage{EnvironmentID: e.ID, Slug: e.Slug, Limits: c.limits(t.ID, e.ID, e.Quotas)})
	}
	if u.Resources, err = c.Store.ResourceUsage(ctx, t.ID); err != nil {
		return answer{}, err
	}
	if u.Resources == nil {
		u.Resources = []registry.TenantUsage{}
	}
	return answer{body: u}, nil
}

// limits returns the limits of the quotas; without a gateway only what they are.
func (c *call) limits(tenant, environment uuid.UUID, q registry.Quotas) []LimitUsage {
	if c.Live != nil {
		return c.Live.Limits(tenant, environment, q)
	}
	return Limits(q)
}

// Limits returns the limits of the gateway in quotas, with nothing known of what is spent; never nil.
func Limits(q registry.Quotas) []LimitUsage {
	limits := []LimitUsage{}
	for _, l := range []LimitUsage{
		{Name: "apiRateLimit", Limit: q.APIRateLimit, Burst: q.Burst},
		{Name: "maxApiCallsPerDay", Limit: q.MaxAPICallsPerDay},
		{Name: "maxApiCallsPerMonth", Limit: q.MaxAPICallsPerMonth},
		{Name: "maxConcurrentRequests", Limit: q.MaxConcurrentRequests},
	} {
		if l.Limit > 0 {
			limits = append(limits, l)
		}
	}
	if len(limits) > 0 && limits[0].Name == "apiRateLimit" && limits[0].Burst == 0 {
		limits[0].Burst = limits[0].Limit
	}
	return limits
}
