package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Config is what a [Router] is made of.
type Config struct {
	// Sources in the order in which they are asked. At least one.
	Sources []Source
	// Resolver leads references to tenants.
	Resolver Resolver
	// Agreement says which sources have to agree. Default: AgreementRequired.
	Agreement Agreement
	// RequireAuthenticated refuses requests whose tenant is not named by an authenticated source. Default: false.
	RequireAuthenticated bool
	// RequireRole refuses requests of users who are not members of the environment with at least this role, and requests
	// of nobody. Default: none, and then only those users have to be members of whom a source demands it ([Yield]).
	RequireRole registry.Role
}

// Router leads requests to tenants. It is immutable and serves any number of requests at once.
type Router struct {
	sources              []Source
	names                []string // by source
	readsHost            []bool   // by source
	rewriters            []Rewriter
	hostMatters          bool // some source reads the host name
	resolver             Resolver
	agreement            Agreement
	requireAuthenticated bool
	requireRole          registry.Role // empty: none
	conflicts            [][]*Refusal  // by the two sources that disagree
}

// New checks the configuration and returns a router.
func New(c Config) (*Router, error) {
	if len(c.Sources) == 0 {
		return nil, errors.New("router: at least one source is needed")
	}
	if c.Resolver == nil {
		return nil, errors.New("router: a resolver is needed")
	}
	if c.Agreement > AgreementFirst {
		return nil, fmt.Errorf("router: agreement %d does not exist", c.Agreement)
	}
	if c.RequireRole != "" && !c.RequireRole.Valid() {
		return nil, fmt.Errorf("router: there is no role %q", c.RequireRole)
	}
	rt := &Router{
		resolver: c.Resolver, agreement: c.Agreement, requireAuthenticated: c.RequireAuthenticated, requireRole: c.RequireRole,
		conflicts: make([][]*Refusal, len(c.Sources)),
	}
	for i, s := range c.Sources {
		if s == nil {
			return nil, fmt.Errorf("router: source %d is nil", i)
		}
		_, readsHost := s.(HostSource)
		rt.sources = append(rt.sources, s)
		rt.names = append(rt.names, s.Name())
		rt.readsHost = append(rt.readsHost, readsHost)
		rt.hostMatters = rt.hostMatters || readsHost
		if w, ok := s.(Rewriter); ok {
			rt.rewriters = append(rt.rewriters, w)
		}
		for _, other := range c.Sources {
			rt.conflicts[i] = append(rt.conflicts[i], refuseTenantConflict.WithCause(
				fmt.Errorf("the sources %s and %s disagree", s.Name(), other.Name())))
		}
	}
	return rt, nil
}

// Route finds out which tenant and environment the request is for, and whether it may pass. The error is always a
// *[Refusal]. Route sets r.Host, and r.Now if it is zero.
//
// A malformed host is refused when a source reads the host name; otherwise r.Host is empty.
func (rt *Router) Route(ctx context.Context, r *Request) (Decision, error) {
	var d Decision
	if refusal := rt.Decide(ctx, r, &d); refusal != nil {
		return d, refusal
	}
	return d, nil
}

// Decide is [Router.Route] for who has room for the decision. It is written to d, which has to be zero, and is zero again
// with a refusal.
func (rt *Router) Decide(ctx context.Context, r *Request, d *Decision) *Refusal {
	refusal := rt.route(ctx, r, d)
	if refusal != nil {
		*d = Decision{}
	}
	return refusal
}

// route is Decide, but with a refusal by admit d is what was not admitted.
func (rt *Router) route(ctx context.Context, r *Request, d *Decision) *Refusal {
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	r.Host = ""
	if r.HTTP.Host != "" {
		host, err := NormalizeHost(r.HTTP.Host)
		if err != nil && rt.hostMatters {
			return refuseHost.WithCause(err)
		}
		r.Host = host
	}
	var space [usualYields]candidate
	found, unknown, refusal := rt.identify(ctx, r, space[:0])
	if refusal != nil {
		return refusal
	}
	refusal = rt.agree(ctx, r.Now, found, unknown, d)
	if refusal == nil && r.HTTP.TLS != nil {
		refusal = rt.checkServerName(ctx, r, d)
	}
	if refusal == nil {
		r.restOn(found)
		refusal = rt.admit(ctx, r, d)
	}
	return refusal
}

// refuseHost is the refusal of a malformed Host header.
var refuseHost = refuseTenantInvalid.WithDetail("The host name of the request is malformed.")

// Rewrite lets the sources change what is forwarded of an admitted request: those that are a [Rewriter], in their
// order, whether they decided or not. Several may remove query parameters, but the path is rewritten only once, by the
// first source that does: a second one would look at a path that it never identified.
func (rt *Router) Rewrite(r *http.Request, _ *Decision) {
	path, rawPath := r.URL.Path, r.URL.RawPath
	for _, w := range rt.rewriters {
		before, rawBefore := r.URL.Path, r.URL.RawPath
		w.Rewrite(r)
		if (before != path || rawBefore != rawPath) && (r.URL.Path != before || r.URL.RawPath != rawBefore) {
			r.URL.Path, r.URL.RawPath = before, rawBefore
			if r.RequestURI != "" {
				r.RequestURI = r.URL.RequestURI()
			}
		}
	}
}
