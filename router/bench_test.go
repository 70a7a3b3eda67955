package router

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// hit is a resolver that costs next to nothing, so that a benchmark measures the router alone.
type hit struct {
	res *registry.Resolved
	err error
}

func (h *hit) Resolve(context.Context, registry.Reference, time.Time) (*registry.Resolved, error) {
	return h.res, h.err
}

// proven is a snapshot with a credential that is a session, an API key and a membership in one.
func proven(res *registry.Resolved) *registry.Resolved {
	with := *res
	with.Credential = &registry.Credential{
		User: "user-1", Role: registry.RoleUser, Roles: []string{string(registry.RoleUser)}, NamesTenant: true, NamesEnvironment: true,
	}
	with.Seal()
	return &with
}

// hotPath is one way through the hot path, with the allocations that it may make.
type hotPath struct {
	name   string
	allocs float64
	run    func()
}

// hotPaths are what a request with a tenant, or a flood of requests without one, goes through.
func hotPaths(tb testing.TB) []hotPath {
	acme := &hit{res: newWorld().byRef[slug("acme", "")]}
	dev := &hit{res: newWorld().byRef[slug("acme", "dev")]}
	unknown := &hit{err: &registry.NotFoundError{}}
	suspended := newWorld()
	suspended.set("acme", func(res *registry.Resolved) { res.Tenant.Status = registry.StatusSuspended })
	held := &hit{res: suspended.byRef[slug("acme", "")]}
	patterns := []string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}
	subdomain := must(NewSubdomain(patterns, DefaultReserved()))
	domain, header, query := must(NewDomain()), must(NewHeader("", "", false)), must(NewQuery("", "environment", false))
	path, placeholder := must(NewPath("/t/{tenant}", false)), must(NewPlaceholder("org", ""))
	bearer := must(NewJWT(jwtOptions(tb, credential.ClaimNames{})))
	ctx := context.Background()
	proven := &hit{res: proven(newWorld().byRef[slug("acme", "")])}
	key, _ := apiKey(tb, "production")
	withCookie, withKey := request(tb, "acme.app.example.com", "/"), request(tb, "acme.app.example.com", "/")
	withCookie.HTTP.Header.Set("Cookie", "theme=dark; "+cookie("GoMj01zLQNrfIQoHqVRzvDZdYiVcpN89"))
	withKey.HTTP.Header.Set(credential.DefaultKeyHeader, key)

	route := func(resolver Resolver, want string, r *Request, sources ...Source) func() {
		rt := newRouter(tb, resolver, sources...)
		if got := outcome(rt.Route(ctx, r)); got != want {
			tb.Fatalf("%s, want %s", got, want)
		}
		return func() {
			if _, err := rt.Route(ctx, r); (err == nil) != (resolver == acme || resolver == dev || resolver == proven) && want != CodeTenantConflict {
				tb.Fatal(err)
			}
		}
	}
	withHeader := func(host, target, tenant, environment string) *Request {
		r := request(tb, host, target)
		if tenant != "" {
			r.HTTP.Header.Set(DefaultTenantHeader, tenant)
		}
		if environment != "" {
			r.HTTP.Header.Set(DefaultEnvironmentHeader, environment)
		}
		return r
	}
	orgs := request(tb, "gateway.internal", "/")
	orgs.Placeholders = values{"org": "acme"}
	exempt, err := NewExempt([]string{"/healthz", "/auth/*"})
	if err != nil {
		tb.Fatal(err)
	}
	health, other := request(tb, "", "/healthz").HTTP, request(tb, "", "/api/tasks").HTTP
	buffer := make([]byte, 0, 1024)
	policies := []string{"requests"}
	const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	return []hotPath{
		{"route/subdomain", 0, route(acme, "acme/production", request(tb, "acme.app.example.com:8080", "/api/tasks"), subdomain)},
		{"route/subdomain+environment", 0, route(dev, "acme/dev", request(tb, "acme--dev.app.example.com", "/api/tasks"), subdomain)},
		{"route/domain", 0, route(acme, "acme/production", request(tb, "app.acme.test", "/"), subdomain, domain)},
		{"route/path", 0, route(acme, "acme/production", request(tb, "gateway.internal", "/t/acme/api/tasks"), path)},
		{"route/header", 0, route(acme, "acme/production", withHeader("gateway.internal", "/", "acme", ""), header)},
		{"route/query", 0, route(acme, "acme/production", request(tb, "gateway.internal", "/x?page=2&tenant=acme"), query)},
		{"route/placeholder", 0, route(acme, "acme/production", orgs, placeholder)},
		{"route/all, two agree", 0, route(acme, "acme/production", withHeader("acme.app.example.com", "/api/tasks?page=2", "acme", ""), subdomain, domain, path, header, query)},
		{"route/environment by header", 0, route(dev, "acme/dev", withHeader("acme.app.example.com", "/", "", "dev"), subdomain, header)},
		{"route/token", 0, route(acme, "acme/production", withToken(tb, "gateway.internal", token(tb)), bearer)},
		{"route/token agrees", 0, route(acme, "acme/production", withToken(tb, "acme.app.example.com", token(tb)), subdomain, bearer)},
		{"route/session", 0, route(proven, "acme/production", withCookie, subdomain, sessions(tb, SessionOptions{AnyUser: true}))},
		{"route/session of a member", 0, route(proven, "acme/production", withCookie, subdomain, sessions(tb, SessionOptions{}))},
		{"route/session table", 0, route(proven, "acme/production", withCookie, subdomain, sessions(tb, SessionOptions{Table: true}))},
		{"route/key of a member", 0, route(proven, "acme/production", withKey, subdomain, apiKeys(tb, false))},
		{"refuse/unknown", 0, route(unknown, CodeTenantNotFound, request(tb, "nobody.app.example.com", "/"), subdomain)},
		{"refuse/required", 0, route(unknown, CodeTenantRequired, request(tb, "app.example.com", "/"), subdomain)},
		{"refuse/malformed", 0, route(unknown, CodeTenantInvalid, request(tb, "a--b--c.app.example.com", "/"), subdomain)},
		{"refuse/suspended", 0, route(held, CodeTenantSuspended, request(tb, "acme.app.example.com", "/"), subdomain)},
		{"refuse/conflict", 0, route(acme, CodeTenantConflict, withHeader("acme.app.example.com", "/", globexID, ""), subdomain, header)},
		{"host", 0, func() {
			if _, err := NormalizeHost("acme.app.example.com:8080"); err != nil {
				tb.Fatal(err)
			}
		}},
		{"host/ipv6", 0, func() {
			if _, err := NormalizeHost("[2001:db8::1]:8080"); err != nil {
				tb.Fatal(err)
			}
		}},
		{"host/capitals", 1, func() {
			if _, err := NormalizeHost("Acme.App.Example.Com:8080"); err != nil {
				tb.Fatal(err)
			}
		}},
		{"exempt/match", 0, func() {
			if !exempt.Match(health) {
				tb.Fatal("not exempt")
			}
		}},
		{"exempt/other", 0, func() {
			if exempt.Match(other) {
				tb.Fatal("exempt")
			}
		}},
		{"problem", 0, func() { buffer = refuseTenantNotFound.AppendProblem(buffer[:0], "/api/tasks") }},
		{"problem over quota", 0, func() {
			buffer = RefuseQuota(Exceeded{"apiRateLimit", 20, 20, policies}, time.Second).AppendProblem(buffer[:0], "/api/tasks")
		}},
		{"html", 0, func() { buffer = refuseTenantNotFound.AppendHTML(buffer[:0]) }},
		{"accept", 0, func() {
			if !PrefersHTML(accept) {
				tb.Fatal("no HTML")
			}
		}},
		{"refuse", 0, func() {
			if Refuse(CodeRegistryUnavailable, nil).Status != http.StatusServiceUnavailable {
				tb.Fatal("status")
			}
		}},
	}
}

// BenchmarkRouter measures each of the hot paths.
func BenchmarkRouter(b *testing.B) {
	for _, p := range hotPaths(b) {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.run()
			}
		})
	}
}

// BenchmarkRewrite measures what rewriting costs a request that names its tenant in path and query.
func BenchmarkRewrite(b *testing.B) {
	rt := newRouter(b, newWorld(), must(NewPath("/t/{tenant}", true)), must(NewQuery("", "", true)))
	r := request(b, "", "/t/acme/api/tasks?page=2&tenant=acme&x=1").HTTP
	saved, uri := *r.URL, r.RequestURI
	b.ReportAllocs()
	for b.Loop() {
		*r.URL, r.RequestURI = saved, uri
		rt.Rewrite(r, nil)
	}
}
