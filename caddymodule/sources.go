package caddymodule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/router"
)

func init() {
	caddy.RegisterModule(&Subdomain{})
	caddy.RegisterModule(&Domain{})
	caddy.RegisterModule(&Path{})
	caddy.RegisterModule(&Header{})
	caddy.RegisterModule(&Query{})
	caddy.RegisterModule(&Placeholder{})
	caddy.RegisterModule(&Default{})
}

// sourceNamespace is where sources are registered; a third party can add one. Such a guest module implements
// [router.Source], may implement [router.HostSource] and [router.Rewriter], and implements caddyfile.Unmarshaler to be
// configured from a Caddyfile: `identify NAME args {block}` loads the module tenants.sources.NAME.
const sourceNamespace = "tenants.sources"

// builtIn is a source of this package: a module that translates configuration for one of the router's sources.
type builtIn interface {
	// source returns the router's source. reserved are the names that are no tenants in host names.
	source(reserved []string) (router.Source, error)
}

// prover is a source of this package that can prove which tenant a request is for.
type prover interface {
	builtIn
	// proves reports whether it does so in its configuration.
	proves() bool
}

// Subdomain finds the tenant in the labels of the host name.
type Subdomain struct {
	// Patterns are host names with {tenant}, and {environment} if wanted, in their first labels:
	// "{tenant}.app.example.com", "{tenant}--{environment}.app.example.com". At least one is required.
	Patterns []string `json:"patterns"`
}

// CaddyModule returns the Caddy module information.
func (*Subdomain) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".subdomain", New: func() caddy.Module { return new(Subdomain) }}
}

func (s *Subdomain) source(reserved []string) (router.Source, error) {
	return router.NewSubdomain(s.Patterns, reserved)
}

// Domain looks the whole host name up in the registry, where tenants have their own domains.
type Domain struct{}

// CaddyModule returns the Caddy module information.
func (*Domain) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".domain", New: func() caddy.Module { return new(Domain) }}
}

func (*Domain) source([]string) (router.Source, error) { return router.NewDomain() }

// Path finds the tenant in the first segments of the path.
type Path struct {
	// Pattern is a path with {tenant}, and {environment} if wanted, as whole segments: "/t/{tenant}". Required.
	Pattern string `json:"pattern"`
	// Strip removes those segments from the path that goes upstream. Default: false.
	Strip bool `json:"strip,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Path) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".path", New: func() caddy.Module { return new(Path) }}
}

func (s *Path) source([]string) (router.Source, error) { return router.NewPath(s.Pattern, s.Strip) }

// Header finds the tenant in a request header, by id or slug.
type Header struct {
	// Tenant is the name of the header that names the tenant. Default: X-Tenant-ID.
	Tenant string `json:"tenant,omitempty"`
	// Environment is the name of the header that names the environment. Default: X-Environment-ID.
	Environment string `json:"environment,omitempty"`
	// FromTrustedProxies counts the headers only from peers that the server's trusted_proxies name. Default: false.
	FromTrustedProxies bool `json:"from_trusted_proxies,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Header) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".header", New: func() caddy.Module { return new(Header) }}
}

func (s *Header) source([]string) (router.Source, error) {
	return router.NewHeader(s.Tenant, s.Environment, s.FromTrustedProxies)
}

// Query finds the tenant in a query parameter, by id or slug.
type Query struct {
	// Tenant is the name of the parameter that names the tenant. Default: tenant.
	Tenant string `json:"tenant,omitempty"`
	// Environment is the name of the parameter that names the environment. Default: none.
	Environment string `json:"environment,omitempty"`
	// Remove removes the parameters from what goes upstream. Default: false.
	Remove bool `json:"remove,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Query) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".query", New: func() caddy.Module { return new(Query) }}
}

func (s *Query) source([]string) (router.Source, error) {
	return router.NewQuery(s.Tenant, s.Environment, s.Remove)
}

// Placeholder finds the tenant in a Caddy placeholder, by id or slug: for what Caddy already knows about the request.
type Placeholder struct {
	// Tenant is the placeholder that names the tenant, such as {http.vars.org}. Required.
	Tenant string `json:"tenant"`
	// Environment is the placeholder that names the environment. Default: none.
	Environment string `json:"environment,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Placeholder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".placeholder", New: func() caddy.Module { return new(Placeholder) }}
}

func (s *Placeholder) source([]string) (router.Source, error) {
	return router.NewPlaceholder(s.Tenant, s.Environment)
}

// Default names the tenant of requests in which no other source names one. It has to be the last source.
type Default struct {
	// Tenant is an id or a slug. Required.
	Tenant string `json:"tenant"`
	// Environment is an id or a slug. Default: the tenant's default environment.
	Environment string `json:"environment,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Default) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".default", New: func() caddy.Module { return new(Default) }}
}

func (s *Default) source([]string) (router.Source, error) {
	return router.NewDefault(s.Tenant, s.Environment)
}

// authenticates reports whether one of the sources can say who makes a request; of guests only they themselves know, so
// they count.
func authenticates(modules []any) bool {
	return slices.ContainsFunc(modules, func(mod any) bool {
		_, ours := mod.(builtIn)
		_, proves := mod.(prover)
		return proves || !ours
	})
}

// asksForTrust reports whether one of the sources may ask whether the peer is a trusted proxy; of guests only they themselves
// know, so they count.
func asksForTrust(modules []any) bool {
	return slices.ContainsFunc(modules, func(mod any) bool {
		header, ok := mod.(*Header)
		_, ours := mod.(builtIn)
		return ok && header.FromTrustedProxies || !ours
	})
}

// sourcesOf turns loaded source modules into the router's sources, in the same order. proof says that one of them can
// prove which tenant a request is for; of guests only they themselves know, so they count.
func sourcesOf(modules []any, reserved []string) (sources []router.Source, proof bool, err error) {
	for i, mod := range modules {
		if _, last := mod.(*Default); last && i != len(modules)-1 {
			return nil, false, errors.New("the source default must be the last one: those after it would never be asked")
		}
		switch m := mod.(type) {
		case builtIn:
			s, err := m.source(reserved)
			if err != nil {
				return nil, false, err
			}
			sources = append(sources, s)
			p, ok := mod.(prover)
			proof = proof || ok && p.proves()
		case router.Source:
			sources, proof = append(sources, m), true
		default:
			return nil, false, fmt.Errorf("module %T in %s is not a source", mod, sourceNamespace)
		}
	}
	return sources, proof, nil
}
