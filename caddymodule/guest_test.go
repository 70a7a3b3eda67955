package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

func init() { caddy.RegisterModule(&cookieSource{}) }

// cookieSource is an example of a guest: a source that somebody else could write. It reads the tenant's slug from a
// cookie, and is configured from a Caddyfile:
//
//	identify cookie <name> {
//		trusted
//	}
type cookieSource struct {
	// Cookie is the cookie's name.
	Cookie string `json:"cookie"`
	// Trusted takes the cookie for proof.
	Trusted bool `json:"trusted,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*cookieSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tenants.sources.cookie", New: func() caddy.Module { return new(cookieSource) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (s *cookieSource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Cookie) {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "trusted" {
			return d.Errf("unknown option %q", d.Val())
		}
		s.Trusted = true
	}
	return nil
}

// Name implements router.Source.
func (*cookieSource) Name() string { return "cookie" }

// Identify implements router.Source.
func (s *cookieSource) Identify(r *router.Request) (router.Yield, error) {
	c, err := r.HTTP.Cookie(s.Cookie)
	if err != nil {
		return router.Yield{}, nil //nolint:nilerr // no cookie, no tenant
	}
	if !registry.ValidSlug(c.Value) {
		return router.Yield{}, router.Refuse(router.CodeTenantInvalid, nil)
	}
	y := router.Yield{Reference: registry.Reference{Kind: registry.KindSlug, Key: c.Value}, Authenticated: s.Trusted}
	if s.Trusted {
		y.User, y.Roles = "user-of-"+c.Value, []string{"env_user", "env_admin"}
	}
	return y, nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*cookieSource)(nil)
	_ router.Source         = (*cookieSource)(nil)
)
