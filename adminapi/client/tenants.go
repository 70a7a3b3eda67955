package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// ListTenants returns a page of tenants, at most 500.
func (c *Client) ListTenants(ctx context.Context, f registry.TenantFilter) (*adminapi.List[registry.Tenant], error) {
	q := pageQuery(f.Limit, f.Cursor)
	set(q, "status", string(f.Status))
	set(q, "plan", f.Plan)
	set(q, "region", f.Region)
	set(q, "prefix", f.Prefix)
	return get[adminapi.List[registry.Tenant]](ctx, c, path(), q)
}

// GetTenant returns a tenant by id or slug.
func (c *Client) GetTenant(ctx context.Context, tenant string) (*registry.Tenant, error) {
	return get[registry.Tenant](ctx, c, path(tenant), nil)
}

// CreateTenant creates a tenant. key makes it safe to ask twice; "": it is not.
func (c *Client) CreateTenant(ctx context.Context, t adminapi.TenantRequest, key string) (*registry.Tenant, error) {
	return send[registry.Tenant](ctx, c, request{method: http.MethodPost, path: path(), body: t, key: key})
}

// UpdateTenant changes a tenant. version is what the caller has read; 0 for whatever there is.
func (c *Client) UpdateTenant(ctx context.Context, tenant string, version int64, t adminapi.TenantRequest) (*registry.Tenant, error) {
	return send[registry.Tenant](ctx, c, request{method: http.MethodPatch, path: path(tenant), body: t, version: version})
}

// TransitionTenant leads a tenant to another status. version is what the caller has read; 0 for whatever there is.
func (c *Client) TransitionTenant(ctx context.Context, tenant string, action registry.Action, version int64, t adminapi.TransitionRequest) (*registry.Tenant, error) {
	return send[registry.Tenant](ctx, c, request{method: http.MethodPost, path: path(tenant, string(action)), body: t, version: version})
}

// DeleteTenant removes a tenant; force repeats its slug. version is what the caller has read; 0 for whatever there is.
func (c *Client) DeleteTenant(ctx context.Context, tenant string, version int64, force string) error {
	return c.remove(ctx, path(tenant), version, force)
}

// TenantAliases returns the former slugs of a tenant.
func (c *Client) TenantAliases(ctx context.Context, tenant string) (*adminapi.List[registry.Alias], error) {
	return get[adminapi.List[registry.Alias]](ctx, c, path(tenant, "aliases"), nil)
}

// DeleteTenantAlias ends a former slug of a tenant.
func (c *Client) DeleteTenantAlias(ctx context.Context, tenant, alias string) error {
	return c.remove(ctx, path(tenant, "aliases", alias), 0, "")
}

// get asks for something.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	return send[T](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

// send sends a request that is answered with something.
func send[T any](ctx context.Context, c *Client, q request) (*T, error) {
	v := new(T)
	if err := c.do(ctx, q, v); err != nil {
		return nil, err
	}
	return v, nil
}

// remove sends a DELETE.
func (c *Client) remove(ctx context.Context, path string, version int64, force string) error {
	q := url.Values{}
	set(q, "force", force)
	return c.do(ctx, request{method: http.MethodDelete, path: path, query: q, version: version}, nil)
}
