package router

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// Explanation says how [Router.Route] would answer a request, for an operator. It holds no secret: keys of credentials
// are left out. It names tenants, so it is nothing for a client.
type Explanation struct {
	// Host is the normalised host name of the request.
	Host string `json:"host,omitempty"`
	// Agreement is the router's: required, authenticated or first.
	Agreement string `json:"agreement"`
	// Sources are all of the router, in its order.
	Sources []ExplainedSource `json:"sources"`
	// Tenant and Environment are those decided on; nil where nothing could be decided. A refusal for their status, or of
	// the user, comes with them.
	Tenant      *ExplainedTenant      `json:"tenant,omitempty"`
	Environment *ExplainedEnvironment `json:"environment,omitempty"`
	// Source is the name of the source that decided, Authenticated whether it had proof.
	Source        string `json:"source,omitempty"`
	Authenticated bool   `json:"authenticated"`
	// User is who makes the request, Roles are that user's; empty where nobody knows.
	User  string   `json:"user,omitempty"`
	Roles []string `json:"roles,omitempty"`
	// Refusal is why the request would be refused; nil where it would pass.
	Refusal *ExplainedRefusal `json:"refusal,omitempty"`
	// Resolved is the snapshot that would serve the request; nil where nothing could be decided. Shared, not to be
	// modified.
	Resolved *registry.Resolved `json:"-"`
}

// What a source did, as [ExplainedSource.Outcome] names it.
const (
	// OutcomeYields: it found something.
	OutcomeYields = "yields"
	// OutcomeNothing: it found nothing.
	OutcomeNothing = "nothing"
	// OutcomeError: it found something malformed or unproven, which ends the request.
	OutcomeError = "error"
	// OutcomeNotAsked: another source has spoken for the host name, or the request had ended.
	OutcomeNotAsked = "not_asked"
)

// ExplainedSource is what one source found, and where that leads.
type ExplainedSource struct {
	Name string `json:"name"`
	// Outcome is one of the Outcome constants.
	Outcome string `json:"outcome"`
	// Kind is what Key is, as [registry.Kind] spells it; "none" where only an environment is named.
	Kind string `json:"kind,omitempty"`
	// Key is what was found; left out for sessions and API keys.
	Key string `json:"key,omitempty"`
	// Environment is the environment that was named, by id or slug.
	Environment string `json:"environment,omitempty"`
	// Authenticated says that the source had proof, Fallback that it counts only where no other one names a tenant.
	Authenticated bool `json:"authenticated"`
	Fallback      bool `json:"fallback,omitempty"`
	// User is who the source says makes the request.
	User string `json:"user,omitempty"`
	// TenantID to EnvironmentSlug are where it leads; empty where the registry does not know it, or nothing was asked.
	TenantID        string `json:"tenantId,omitempty"`
	TenantSlug      string `json:"tenantSlug,omitempty"`
	EnvironmentID   string `json:"environmentId,omitempty"`
	EnvironmentSlug string `json:"environmentSlug,omitempty"`
	// Decides says that it is the one that decides. Agrees says whether it leads to the same tenant, and environment if it
	// names one, as the source that decides; nil where there is nothing to compare.
	Decides bool  `json:"decides"`
	Agrees  *bool `json:"agrees,omitempty"`
	// Problem is why it leads nowhere, as the log would say it.
	Problem string `json:"problem,omitempty"`
}

// ExplainedTenant is the tenant that is decided on.
type ExplainedTenant struct {
	ID     string          `json:"id"`
	Slug   string          `json:"slug"`
	Name   string          `json:"name"`
	Plan   string          `json:"plan"`
	Status registry.Status `json:"status"`
	// SubscriptionExpiresAt is left out for never.
	SubscriptionExpiresAt time.Time `json:"subscriptionExpiresAt,omitzero"`
}

// ExplainedEnvironment is the environment that is decided on.
type ExplainedEnvironment struct {
	ID     string                   `json:"id"`
	Slug   string                   `json:"slug"`
	Type   registry.EnvironmentType `json:"type"`
	Status registry.Status          `json:"status"`
	Region string                   `json:"region,omitempty"`
}

// ExplainedRefusal is why a request would be refused.
type ExplainedRefusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	// Cause is what the log would add; empty where there is nothing.
	Cause string `json:"cause,omitempty"`
}

// tracedSource notes what a source yields. It stands in a copy of the router, so that the router itself pays nothing.
type tracedSource struct {
	Source
	asked bool
	yield Yield
	err   error
}

// Identify implements [Source].
func (t *tracedSource) Identify(r *Request) (Yield, error) {
	t.asked = true
	t.yield, t.err = t.Source.Identify(r)
	return t.yield, t.err
}

// Explain goes the same way as Route, and says what happened on it. It asks the resolver also for what Route would not
// need to ask.
func (rt *Router) Explain(ctx context.Context, r *Request) *Explanation {
	traced := *rt
	traces := make([]*tracedSource, len(rt.sources))
	traced.sources = make([]Source, len(rt.sources))
	for i, s := range rt.sources {
		traces[i] = &tracedSource{Source: s}
		traced.sources[i] = traces[i]
	}
	var d Decision
	refusal := traced.route(ctx, r, &d)
	e := &Explanation{
		Host: r.Host, Agreement: rt.agreement.String(), Source: d.Source, Authenticated: d.Authenticated, User: d.User, Roles: d.Roles,
	}
	if refusal != nil {
		e.Refusal = explainRefusal(refusal)
	}
	if d.Resolved != nil {
		e.Resolved = d.Resolved
		e.Tenant, e.Environment = explainResolved(d.Resolved)
	}
	e.Sources = rt.explainSources(ctx, r, traces, &d)
	return e
}

func explainRefusal(refusal *Refusal) *ExplainedRefusal {
	x := &ExplainedRefusal{Status: refusal.Status, Code: refusal.Code, Title: refusal.Title, Detail: refusal.Detail}
	if refusal.Cause != nil {
		x.Cause = refusal.Cause.Error()
	}
	return x
}

func explainResolved(res *registry.Resolved) (*ExplainedTenant, *ExplainedEnvironment) {
	t, e := &res.Tenant, &res.Environment
	tenant := &ExplainedTenant{
		ID: t.ID.String(), Slug: t.Slug, Name: t.Name, Plan: t.Plan, Status: t.Status, SubscriptionExpiresAt: t.SubscriptionExpiresAt,
	}
	environment := &ExplainedEnvironment{ID: e.ID.String(), Slug: e.Slug, Type: e.Type, Status: e.Status, Region: e.Region}
	return tenant, environment
}

// explainSources leads what each source yielded to its tenant.
func (rt *Router) explainSources(ctx context.Context, r *Request, traces []*tracedSource, d *Decision) []ExplainedSource {
	list := make([]ExplainedSource, len(traces))
	found := make([]candidate, 0, len(traces))
	for i, t := range traces {
		x := &list[i]
		x.Name, x.Outcome = rt.names[i], OutcomeNothing
		switch {
		case !t.asked:
			x.Outcome = OutcomeNotAsked
		case t.err != nil:
			x.Outcome, x.Problem = OutcomeError, explainError(t.err)
		case !t.yield.empty():
			x.Outcome = OutcomeYields
			c := candidate{yield: t.yield, source: i}
			rt.explainYield(ctx, r.Now, &c, x)
			if !c.yield.Soft || c.missing == nil {
				found = append(found, c)
			}
		}
	}
	w := decider(found)
	if w == nil {
		return list
	}
	list[w.source].Decides = true
	res := d.Resolved
	if res == nil {
		res = w.res
	}
	for i := range found {
		c := &found[i]
		if c == w || res == nil || !c.namesTenant() && !c.namesEnvironment() {
			continue
		}
		agrees := !c.namesTenant() || c.res != nil && c.res.Tenant.ID == res.Tenant.ID
		agrees = agrees && (!c.namesEnvironment() || c.meansEnvironment(res))
		list[c.source].Agrees = &agrees
	}
	return list
}

// explainYield says what a source yielded and where the registry leads that.
func (rt *Router) explainYield(ctx context.Context, now time.Time, c *candidate, x *ExplainedSource) {
	ref := c.yield.Reference
	x.Kind, x.Environment, x.Fallback = ref.Kind.String(), ref.Environment, c.yield.Fallback
	var refusal *Refusal
	switch {
	case looksUp(ref.Kind):
		refusal = rt.prove(ctx, now, c)
	default:
		x.Key = ref.Key
		if c.namesTenant() {
			rt.lookUp(ctx, now, c)
			refusal = c.failure
		}
	}
	x.Authenticated, x.User = c.yield.Authenticated && !c.yield.Fallback, c.yield.User
	switch {
	case refusal != nil:
		x.Problem = explainError(refusal)
	case c.missing != nil && c.missing.Tenant == uuid.Nil:
		x.Problem = "the registry knows no such tenant"
	case c.missing != nil:
		x.TenantID, x.Problem = c.missing.Tenant.String(), "the tenant has no such environment"
	case c.res != nil && c.namesTenant():
		x.TenantID, x.TenantSlug = c.res.Tenant.ID.String(), c.res.Tenant.Slug
		x.EnvironmentID, x.EnvironmentSlug = c.res.Environment.ID.String(), c.res.Environment.Slug
	}
}

// explainError is what the log would say.
func explainError(err error) string {
	refusal := refuseSource(err)
	if refusal.Cause != nil {
		return refusal.Cause.Error()
	}
	return refusal.Detail
}

// Agreement returns which sources have to agree.
func (rt *Router) Agreement() Agreement { return rt.agreement }
