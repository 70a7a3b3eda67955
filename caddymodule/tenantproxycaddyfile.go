package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("tenant_proxy", parseTenantProxy)
	// After reverse_proxy, which is for some paths where there are both, as those that are exempt.
	httpcaddyfile.RegisterDirectiveOrder("tenant_proxy", httpcaddyfile.After, "reverse_proxy")
}

// parseTenantProxy parses the directive tenant_proxy. Syntax:
//
//	tenant_proxy [<matcher>] [<upstreams...>] {
//		<the options of reverse_proxy>
//	}
//
// The upstreams are for requests without a tenant, and for tenants without an upstream. A `transport http` without options is
// what Caddy leaves out of its configuration, and so does not keep away from `transport tenant`.
func parseTenantProxy(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(TenantProxy)
	if err := p.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return p, p.FinalizeUnmarshalCaddyfile(h)
}
