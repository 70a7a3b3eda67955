package client

import (
	"context"
	"net/http"

	"github.com/tenantgate/tenantgate/adminapi"
)

// ListDomains returns the host names of an environment, verified and claimed.
func (c *Client) ListDomains(ctx context.Context, tenant, environment string) (*adminapi.List[adminapi.Domain], error) {
	return get[adminapi.List[adminapi.Domain]](ctx, c, path(tenant, "environments", environment, "domains"), nil)
}

// GetDomain returns a host name of an environment.
func (c *Client) GetDomain(ctx context.Context, tenant, environment, hostname string) (*adminapi.Domain, error) {
	return get[adminapi.Domain](ctx, c, path(tenant, "environments", environment, "domains", hostname), nil)
}

// AddDomain adds a host name to an environment: as a claim to be proved, or verified where the operator vouches for it.
func (c *Client) AddDomain(ctx context.Context, tenant, environment string, d adminapi.DomainRequest) (*adminapi.Domain, error) {
	return send[adminapi.Domain](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "domains"), body: d})
}

// VerifyDomain vouches for a host name: nobody has to prove it any more.
func (c *Client) VerifyDomain(ctx context.Context, tenant, environment, hostname string) (*adminapi.Domain, error) {
	return send[adminapi.Domain](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "domains", hostname, "verify")})
}

// MoveDomain takes a host name to another environment.
func (c *Client) MoveDomain(ctx context.Context, tenant, environment, hostname string, to adminapi.MoveDomainRequest) (*adminapi.Domain, error) {
	return send[adminapi.Domain](ctx, c, request{method: http.MethodPost, path: path(tenant, "environments", environment, "domains", hostname, "move"), body: to})
}

// RemoveDomain takes a host name from an environment.
func (c *Client) RemoveDomain(ctx context.Context, tenant, environment, hostname string) error {
	return c.remove(ctx, path(tenant, "environments", environment, "domains", hostname), 0, "")
}
