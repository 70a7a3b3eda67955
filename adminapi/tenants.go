package adminapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tenantgate/tenantgate/registry"
)

// list answers with a page of a list.
func list[T any](items []T, next string, err error) (answer, error) {
	return answer{body: List[T]{Items: items, Next: next}}, err
}

// tenantAnswer answers with a tenant.
func tenantAnswer(t *registry.Tenant, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{body: t, version: t.Version}, nil
}

// created turns an answer into that of a creation. location is the path of what was created.
func created(ans answer, err error, replayed bool, location ...string) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	ans.status = http.StatusCreated
	path := "/tenants"
	for _, element := range location {
		path += "/" + url.PathEscape(element)
	}
	ans.header = http.Header{"Location": {path}}
	if replayed {
		ans.header.Set("Idempotency-Replayed", "true")
	}
	return ans, nil
}

func listTenants(ctx context.Context, c *call) (answer, error) {
	f := registry.TenantFilter{}
	var status string
	for name, to := range map[string]*string{"status": &status, "plan": &f.Plan, "region": &f.Region, "prefix": &f.Prefix} {
		var err error
		if *to, err = c.query.text(name); err != nil {
			return answer{}, err
		}
	}
	f.Status = registry.Status(status)
	var err error
	if f.Page, err = c.query.page(); err != nil {
		return answer{}, err
	}
	return list(c.Store.ListTenants(ctx, f))
}

func getTenant(ctx context.Context, c *call) (answer, error) {
	return tenantAnswer(c.Store.GetTenant(ctx, c.PathValue("tenant")))
}

func createTenant(ctx context.Context, c *call) (answer, error) {
	doc, err := document(c.body, registry.DecodeTenant)
	if err != nil {
		return answer{}, err
	}
	n := registry.NewTenant{DocumentTenant: *doc}
	if n.Idempotency, err = c.idempotency(); err != nil {
		return answer{}, err
	}
	t, err := c.Store.CreateTenant(ctx, c.actor, n)
	if err != nil {
		return answer{}, err
	}
	ans, err := tenantAnswer(t, nil)
	return created(ans, err, n.Idempotency != nil && n.Idempotency.Replayed, t.ID.String())
}

func updateTenant(ctx context.Context, c *call) (answer, error) {
	p, err := document(c.body, registry.DecodeTenantPatch)
	if err != nil {
		return answer{}, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return answer{}, err
	}
	return tenantAnswer(c.Store.UpdateTenant(ctx, c.actor, c.PathValue("tenant"), version, p))
}

func transitionTenant(action registry.Action) serve {
	return func(ctx context.Context, c *call) (answer, error) {
		t, version, err := c.transition(action)
		if err != nil {
			return answer{}, err
		}
		return tenantAnswer(c.Store.TransitionTenant(ctx, c.actor, c.PathValue("tenant"), version, t))
	}
}

// transition reads the body of an action, and the version that it demands.
func (c *call) transition(action registry.Action) (registry.Transition, int64, error) {
	t := registry.Transition{Action: action}
	if len(c.body) > 0 {
		if err := decode(c.body, fields{"reason": text(&t.Reason), "force": text(&t.Force)}); err != nil {
			return t, 0, err
		}
	}
	version, err := c.ifMatch()
	return t, version, err
}

func deleteTenant(ctx context.Context, c *call) (answer, error) {
	force, version, err := c.removal()
	if err != nil {
		return answer{}, err
	}
	return removed(c.Store.DestroyTenant(ctx, c.actor, c.PathValue("tenant"), version, force))
}

// removal reads what a DELETE says.
func (c *call) removal() (force string, version int64, err error) {
	if err := c.noBody(); err != nil {
		return "", 0, err
	}
	if force, err = c.query.text("force"); err != nil {
		return "", 0, err
	}
	version, err = c.ifMatch()
	return force, version, err
}

// noBody refuses a body where none can mean anything.
func (c *call) noBody() error {
	if len(c.body) > 0 {
		return &bodyError{invalid("", "there is nothing that a body could say here")}
	}
	return nil
}

// removed answers with nothing.
func removed(err error) (answer, error) { return answer{status: http.StatusNoContent}, err }

func listTenantAliases(ctx context.Context, c *call) (answer, error) {
	items, err := c.Store.TenantAliases(ctx, c.PathValue("tenant"))
	return list(items, "", err)
}

func deleteTenantAlias(ctx context.Context, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	return removed(c.Store.RemoveTenantAlias(ctx, c.actor, c.PathValue("tenant"), c.PathValue("alias")))
}
