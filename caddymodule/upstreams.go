package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	caddy.RegisterModule(&Upstreams{})
}

// Upstreams gives reverse_proxy the upstreams of the request's environment, else of its tenant, else of its plan, else
// the app's default ones, with pools replaced by their members. Any load balancing policy and retries work on them.
//
// Each upstream says in the registry whether it is http or https, and one reverse_proxy serves both kinds. A
// `transport http { tls ... }` adds what https upstreams need (a pool of trusted certificates, a client certificate),
// and does not turn http upstreams into https ones. The Host header is the client's; `header_up Host
// {http.reverse_proxy.upstream.hostport}` changes that.
//
// A request without a tenant, as on an exempt path, or whose environment has no upstream gets the static upstreams of
// the same reverse_proxy, and 503 where there are none.
type Upstreams struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (*Upstreams) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.upstreams.tenant",
		New: func() caddy.Module { return new(Upstreams) },
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	dynamic tenant
func (u *Upstreams) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("dynamic tenant has no option %q", d.Val())
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (u *Upstreams) Provision(ctx caddy.Context) error {
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	u.app = app.(*App)
	return nil
}

var errNoTenant = errors.New("dynamic tenant: the request has no tenant")

// GetUpstreams implements reverseproxy.UpstreamSource. It is called for each attempt, with the outgoing request, whose
// host, URL and headers may be those of an attempt that failed: the decision is the one in the context.
func (u *Upstreams) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	res := stateOf(r.Context()).resolved()
	if res == nil {
		return nil, errNoTenant
	}
	scheme, addresses, err := u.app.upstreams(res)
	if err != nil {
		return nil, fmt.Errorf("dynamic tenant: tenant %s, environment %s: %w", res.Tenant.Slug, res.Environment.Slug, err)
	}
	injectLate(r)
	// The transport keeps a scheme that is set, and the outgoing request's URL is a copy of its own.
	r.URL.Scheme = scheme
	// Caddy writes into these, so that each attempt has its own.
	own := make([]reverseproxy.Upstream, len(addresses))
	list := make([]*reverseproxy.Upstream, len(addresses))
	for i, address := range addresses {
		own[i].Dial = address
		list[i] = &own[i]
	}
	return list, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Upstreams)(nil)
	_ caddyfile.Unmarshaler       = (*Upstreams)(nil)
	_ reverseproxy.UpstreamSource = (*Upstreams)(nil)
)
