package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

func init() {
	caddy.RegisterModule(&TLSPermission{})
}

// TLSPermission lets certificates be had on demand for the host names of tenants: domains that are registered and
// verified, and with Subdomains the names of tenants below the operator's own, whose tenant and environment are both
// active. An expired subscription changes nothing: visitors shall read why they are refused.
//
// It answers from memory: from the cache what is known, and what is not from a set of hashes of all names, which is
// loaded in the background at start and kept current, so that a flood of made-up names reaches neither the registry nor
// an issuer. As long as that set is not complete, unknown names are looked up through the cache.
type TLSPermission struct {
	// Subdomains are patterns as those of the source subdomain, "{tenant}.app.example.com". The names that fit them and
	// lead to an active tenant are allowed as well; environments have to be named by slug. A wildcard certificate needs no
	// permission and is usually the better choice. Default: none.
	Subdomains []string `json:"subdomains,omitempty"`
	// Reserved are names that are never tenants in Subdomains; an empty list reserves none. Default: as in the handler.
	Reserved []string `json:"reserved,omitzero"`

	runtime   *runtime
	subdomain router.Source // nil without Subdomains
	domain    router.Source
}

// CaddyModule returns the Caddy module information.
func (*TLSPermission) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.permission.tenant", New: func() caddy.Module { return new(TLSPermission) }}
}

// Provision implements caddy.Provisioner.
func (p *TLSPermission) Provision(ctx caddy.Context) error {
	if err := p.build(); err != nil {
		return err
	}
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	p.runtime = app.(*App).runtime
	p.runtime.startNames(p.subdomain != nil)
	return nil
}

// build makes the sources.
func (p *TLSPermission) build() (err error) {
	if p.domain, err = router.NewDomain(); err != nil || len(p.Subdomains) == 0 {
		return err
	}
	reserved := p.Reserved
	if reserved == nil {
		reserved = router.DefaultReserved()
	}
	p.subdomain, err = router.NewSubdomain(p.Subdomains, reserved)
	return err
}

// CertificateAllowed implements caddytls.OnDemandPermission. A denial wraps caddytls.ErrPermissionDenied; any other
// error says that it cannot be told now.
func (p *TLSPermission) CertificateAllowed(ctx context.Context, name string) error {
	result, err := p.decide(ctx, name)
	metricPermissions.WithLabelValues(result).Inc()
	return err
}

// The results of a decision, as labels.
const (
	permissionAllowed  = "allowed"
	permissionInvalid  = "denied_invalid"  // no host name that could be anybody's
	permissionUnknown  = "denied_unknown"  // nobody's
	permissionInactive = "denied_inactive" // of a tenant or an environment that is not active
	permissionFailed   = "failed"          // the registry could not be asked
)

func (p *TLSPermission) decide(ctx context.Context, name string) (string, error) {
	denied := func(result, why string) (string, error) {
		return result, fmt.Errorf("%w: %s", caddytls.ErrPermissionDenied, why)
	}
	host, err := router.NormalizeHost(name)
	if err != nil {
		return denied(permissionInvalid, "no host name")
	}
	if !p.runtime.waitReady(ctx, readyLimit) {
		return permissionFailed, errNotStarted
	}
	ref, err := p.reference(ctx, host)
	var res *registry.Resolved
	if err == nil && ref.Kind != registry.KindNone {
		res, err = p.runtime.cache.Resolve(ctx, ref, time.Now())
	}
	var refusal *router.Refusal
	switch {
	case errors.As(err, &refusal):
		return denied(permissionInvalid, "no name of a tenant")
	case errors.Is(err, registry.ErrNotFound):
		return denied(permissionUnknown, "no verified domain")
	case err != nil:
		return permissionFailed, err
	case res == nil:
		return denied(permissionUnknown, "no verified domain")
	case res.Tenant.Status != registry.StatusActive || res.Environment.Status != registry.StatusActive:
		return denied(permissionInactive, "tenant or environment not active")
	}
	return permissionAllowed, nil
}

// reference returns what a host name may mean; KindNone when it is known to mean nothing.
func (p *TLSPermission) reference(ctx context.Context, host string) (registry.Reference, error) {
	r := &router.Request{Host: host}
	if p.subdomain != nil {
		y, err := p.subdomain.Identify(r)
		if err != nil {
			return registry.Reference{}, err
		}
		if y.Reference.Kind != registry.KindNone {
			return p.subdomainReference(ctx, y.Reference)
		}
	}
	y, err := p.domain.Identify(r)
	if err != nil || y.Reference.Kind == registry.KindNone || !p.runtime.names.mayHave(nameKey{kind: nameHost, name: host}) {
		return registry.Reference{}, err
	}
	return y.Reference, nil
}

// subdomainReference returns the reference if its tenant and its environment may be there.
func (p *TLSPermission) subdomainReference(ctx context.Context, ref registry.Reference) (none registry.Reference, err error) {
	names := &p.runtime.names
	key := nameKey{kind: nameTenant, name: ref.Key}
	if ref.Kind == registry.KindTenantID {
		key.kind, key.name = nameTenantID, ""
		if err := key.tenant.UnmarshalText([]byte(ref.Key)); err != nil {
			return none, nil
		}
	}
	if !names.mayHave(key) {
		return none, nil
	}
	if ref.Environment == "" {
		return ref, nil
	}
	if !registry.ValidSlug(ref.Environment) {
		return none, nil
	}
	// Whose environment it has to be is known to the cache, which one tenant's name occupies once.
	res, err := p.runtime.cache.Resolve(ctx, registry.Reference{Kind: ref.Kind, Key: ref.Key}, time.Now())
	if err != nil || !names.mayHave(nameKey{kind: nameEnvironment, tenant: res.Tenant.ID, name: ref.Environment}) {
		return none, err
	}
	return ref, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TLSPermission)(nil)
	_ caddytls.OnDemandPermission = (*TLSPermission)(nil)
)
