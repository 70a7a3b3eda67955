package client

import (
	"context"
	"net/http"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// ListCredentials returns a page of the records of an environment's database credentials, at most 500; revoked ones too.
func (c *Client) ListCredentials(ctx context.Context, tenant, environment string, p registry.Page) (*adminapi.List[registry.DatabaseCredential], error) {
	return get[adminapi.List[registry.DatabaseCredential]](ctx, c, path(tenant, "environments", environment, "credentials"), pageQuery(p.Limit, p.Cursor))
}

// GetCredential returns the record of a credential by its id, without its secret.
func (c *Client) GetCredential(ctx context.Context, tenant, environment, id string) (*registry.DatabaseCredential, error) {
	return get[registry.DatabaseCredential](ctx, c, path(tenant, "environments", environment, "credentials", id), nil)
}

// CreateCredential stores a credential, sealed. key makes it safe to ask twice; "": it is not.
func (c *Client) CreateCredential(ctx context.Context, tenant, environment string, n adminapi.CredentialRequest, key string) (*registry.DatabaseCredential, error) {
	return send[registry.DatabaseCredential](ctx, c, request{
		method: http.MethodPost, path: path(tenant, "environments", environment, "credentials"), body: n, key: key,
	})
}

// RotateCredential stores the secret that replaces that of an active credential, and returns the new record; see
// [registry.Store.RotateDatabaseCredential]. version is what the caller has read of the old one; 0 for whatever there is.
func (c *Client) RotateCredential(ctx context.Context, tenant, environment, id string, version int64, r adminapi.RotateCredentialRequest) (*registry.DatabaseCredential, error) {
	return send[registry.DatabaseCredential](ctx, c, request{
		method: http.MethodPost, path: path(tenant, "environments", environment, "credentials", id, "rotate"), body: r, version: version,
	})
}

// RevokeCredential ends a credential and destroys its secret. version is what the caller has read; 0 for whatever there is.
func (c *Client) RevokeCredential(ctx context.Context, tenant, environment, id string, version int64) (*registry.DatabaseCredential, error) {
	return send[registry.DatabaseCredential](ctx, c, request{
		method: http.MethodDelete, path: path(tenant, "environments", environment, "credentials", id), version: version,
	})
}

// RevealCredential returns a credential with its secret; the audit log says who asked. version is what the caller has read;
// 0 for whatever there is.
func (c *Client) RevealCredential(ctx context.Context, tenant, environment, id string, version int64) (*adminapi.RevealedCredential, error) {
	return send[adminapi.RevealedCredential](ctx, c, request{
		method: http.MethodPost, path: path(tenant, "environments", environment, "credentials", id, "reveal"), version: version,
	})
}

// ResealCredentials seals some of the credentials of all tenants with the first key; see
// [registry.Store.ResealDatabaseCredentials].
func (c *Client) ResealCredentials(ctx context.Context, r adminapi.ResealRequest) (*registry.Reseal, error) {
	return send[registry.Reseal](ctx, c, request{method: http.MethodPost, path: "/tenants/_credentials/reseal", body: r})
}
