package router

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

var errServerName = errors.New("the TLS server name leads to another tenant")

// checkServerName refuses a request whose connection was made for another tenant's name: 421 (RFC 9110 §15.5.20), so
// that the client opens a new one. A client may send requests for several names over one HTTP/2 connection when its
// certificate has them all (RFC 9113 §9.1.1), and one that means no good may send any Host over any connection.
//
// The sources that read the host name are asked what the server name would mean. A name that leads to no tenant is fine:
// certificates are shared between names, wildcards have many, and a balancer in front may have a name of its own. So is
// another name of the same tenant, whatever its environment. When the registry cannot say what the name means, the
// decision stands, since everything that the request itself says agrees with it: an outage must not take a cached tenant
// from clients whose connection has an unknown name.
//
// Equal names, and connections without TLS or without a server name, cost nothing.
func (rt *Router) checkServerName(ctx context.Context, r *Request, d *Decision) *Refusal {
	name := r.HTTP.TLS.ServerName
	if name == "" || name == r.Host || !rt.hostMatters {
		return nil
	}
	name, err := NormalizeHost(name)
	if err != nil || name == r.Host {
		return nil
	}
	if tenant := rt.tenantOfHost(ctx, r, name); tenant != uuid.Nil && tenant != d.Resolved.Tenant.ID {
		return refuseServerName
	}
	return nil
}

var refuseServerName = refuseMisdirectedRequest.WithCause(errServerName)

// tenantOfHost returns the tenant to which the sources lead another host name; uuid.Nil when it is none, or cannot be
// told.
func (rt *Router) tenantOfHost(ctx context.Context, r *Request, name string) uuid.UUID {
	http := *r.HTTP
	http.Host = name
	other := Request{HTTP: &http, Host: name, Now: r.Now, TrustedProxy: r.TrustedProxy, Placeholders: r.Placeholders}
	for i, source := range rt.sources {
		if !rt.readsHost[i] {
			continue
		}
		y, err := source.Identify(&other)
		if err != nil {
			return uuid.Nil // no name of anybody's
		}
		if y.Reference.Kind == registry.KindNone {
			continue
		}
		res, missing, _ := rt.resolve(ctx, y.Reference, r.Now)
		switch {
		case res != nil:
			return res.Tenant.ID
		case missing == nil:
			return uuid.Nil
		case missing.Tenant != uuid.Nil || !y.Soft:
			return missing.Tenant // it has no such environment, but the name is that tenant's
		}
	}
	return uuid.Nil
}
