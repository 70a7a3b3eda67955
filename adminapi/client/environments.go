package client

import (
	"context"
	"net/http"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// ListEnvironments returns a page of a tenant's environments, at most 500.
func (c *Client) ListEnvironments(ctx context.Context, tenant string, f registry.EnvironmentFilter) (*adminapi.List[registry.Environment], error) {
	q := pageQuery(f.Limit, f.Cursor)
	set(q, "status", string(f.Status))
	set(q, "type", string(f.Type))
	set(q, "region", f.Region)
	return get[adminapi.List[registry.Environment]](ctx, c, path(tenant, "environments"), q)
}

// GetEnvironment returns an environment; tenant and environment are ids or slugs.
func (c *Client) GetEnvironment(ctx context.Context, tenant, environment string) (*registry.Environment, error) {
	return get[registry.Environment](ctx, c, path(tenant, "environments", environment), nil)
}

// CreateEnvironment creates an environment. key makes it safe to ask twice; "": it is not.
func (c *Client) CreateEnvironment(ctx context.Context, tenant string, e adminapi.EnvironmentRequest, key string) (*registry.Environment, error) {
	return send[registry.Environment](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments"), body: e, key: key})
}

// UpdateEnvironment changes an environment. version is what the caller has read; 0 for whatever there is.
func (c *Client) UpdateEnvironment(ctx context.Context, tenant, environment string, version int64, e adminapi.EnvironmentRequest) (*registry.Environment, error) {
	return send[registry.Environment](ctx, c, request{method: http.MethodPatch, path: path(tenant, "environments", environment), body: e, version: version})
}

// TransitionEnvironment leads an environment to another status. version is what the caller has read; 0 for whatever there
// is.
func (c *Client) TransitionEnvironment(ctx context.Context, tenant, environment string, action registry.Action, version int64, t adminapi.TransitionRequest) (*registry.Environment, error) {
	return send[registry.Environment](ctx, c, request{
		method: http.MethodPost, path: path(tenant, "environments", environment, string(action)), body: t, version: version,
	})
}

// MakeDefault makes an environment its tenant's default. version is what the caller has read; 0 for whatever there is.
func (c *Client) MakeDefault(ctx context.Context, tenant, environment string, version int64) (*registry.Environment, error) {
	return send[registry.Environment](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "default"), version: version})
}

// DeleteEnvironment removes an environment; force repeats the slug of a protected one. version is what the caller has
// read; 0 for whatever there is.
func (c *Client) DeleteEnvironment(ctx context.Context, tenant, environment string, version int64, force string) error {
	return c.remove(ctx, path(tenant, "environments", environment), version, force)
}

// EnvironmentAliases returns the former slugs of an environment.
func (c *Client) EnvironmentAliases(ctx context.Context, tenant, environment string) (*adminapi.List[registry.Alias], error) {
	return get[adminapi.List[registry.Alias]](ctx, c, path(tenant, "environments", environment, "aliases"), nil)
}

// DeleteEnvironmentAlias ends a former slug of an environment.
func (c *Client) DeleteEnvironmentAlias(ctx context.Context, tenant, environment, alias string) error {
	return c.remove(ctx, path(tenant, "environments", environment, "aliases", alias), 0, "")
}

// ListMembers returns a page of an environment's members, at most 500.
func (c *Client) ListMembers(ctx context.Context, tenant, environment string, f registry.MemberFilter) (*adminapi.List[registry.Member], error) {
	q := pageQuery(f.Limit, f.Cursor)
	set(q, "role", f.Role)
	return get[adminapi.List[registry.Member]](ctx, c, path(tenant, "environments", environment, "members"), q)
}

// GetMember returns a member of an environment.
func (c *Client) GetMember(ctx context.Context, tenant, environment, user string) (*registry.Member, error) {
	return get[registry.Member](ctx, c, path(tenant, "environments", environment, "members", user), nil)
}

// AddMember lets a user use an environment. key makes it safe to ask twice; "": it is not.
func (c *Client) AddMember(ctx context.Context, tenant, environment string, m adminapi.MemberRequest, key string) (*registry.Member, error) {
	return send[registry.Member](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "members"), body: m, key: key})
}

// SetMemberRole changes the role of a member. version is what the caller has read; 0 for whatever there is.
func (c *Client) SetMemberRole(ctx context.Context, tenant, environment, user, role string, version int64) (*registry.Member, error) {
	return send[registry.Member](ctx, c, request{
		method: http.MethodPatch, path: path(tenant, "environments", environment, "members", user), body: adminapi.MemberRequest{Role: role}, version: version,
	})
}

// RemoveMember ends a membership. version is what the caller has read; 0 for whatever there is.
func (c *Client) RemoveMember(ctx context.Context, tenant, environment, user string, version int64) error {
	return c.remove(ctx, path(tenant, "environments", environment, "members", user), version, "")
}

// ListKeys returns a page of an environment's API keys, at most 500; revoked and expired ones too.
func (c *Client) ListKeys(ctx context.Context, tenant, environment string, p registry.Page) (*adminapi.List[registry.APIKey], error) {
	return get[adminapi.List[registry.APIKey]](ctx, c, path(tenant, "environments", environment, "api-keys"), pageQuery(p.Limit, p.Cursor))
}

// GetKey returns the record of an API key by its id.
func (c *Client) GetKey(ctx context.Context, tenant, environment, id string) (*registry.APIKey, error) {
	return get[registry.APIKey](ctx, c, path(tenant, "environments", environment, "api-keys", id), nil)
}

// CreateKey creates an API key; only this answer shows it. key makes it safe to ask twice; "": it is not.
func (c *Client) CreateKey(ctx context.Context, tenant, environment string, k adminapi.KeyRequest, key string) (*adminapi.NewKey, error) {
	return send[adminapi.NewKey](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "api-keys"), body: k, key: key})
}

// RotateKey replaces an API key; only this answer shows the new one. version is what the caller has read of the old one;
// 0 for whatever there is.
func (c *Client) RotateKey(ctx context.Context, tenant, environment, id string, version int64, r adminapi.RotateRequest) (*adminapi.NewKey, error) {
	return send[adminapi.NewKey](ctx, c, request{
		method: http.MethodPost, path: path(tenant, "environments", environment, "api-keys", id, "rotate"), body: r, version: version,
	})
}

// RevokeKey ends an API key at once. version is what the caller has read; 0 for whatever there is.
func (c *Client) RevokeKey(ctx context.Context, tenant, environment, id string, version int64) (*registry.APIKey, error) {
	return send[registry.APIKey](ctx, c, request{method: http.MethodDelete, path: path(tenant, "environments", environment, "api-keys", id), version: version})
}
