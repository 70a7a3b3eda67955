package router

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// overTLS makes a request whose connection was made for a server name.
func overTLS(t testing.TB, serverName, host string) *Request {
	t.Helper()
	r := request(t, host, "/")
	r.HTTP.TLS = &tls.ConnectionState{ServerName: serverName}
	return r
}

// Promise: the TLS server name and the Host of a request never belong to different tenants: 421. Names that lead to no
// tenant, or to the same one, are fine.
func TestServerName(t *testing.T) {
	subdomain := must(NewSubdomain([]string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}, DefaultReserved()))
	domain, header := must(NewDomain()), must(NewHeader("", "", false))
	for _, tt := range []struct{ name, serverName, host, header, want string }{
		{"the same name", "app.acme.test", "app.acme.test", "", "acme/production"},
		{"the same name, spelled otherwise", "APP.Acme.TEST", "app.acme.test:8443", "", "acme/production"},
		{"no server name", "", "app.acme.test", "", "acme/production"},
		{"another domain of the tenant", "dev.acme.test", "app.acme.test", "", "acme/production"},
		{"the tenant's subdomain", "acme.app.example.com", "app.acme.test", "", "acme/production"},
		{"the tenant's other environment", "acme--dev.app.example.com", "acme.app.example.com", "", "acme/production"},
		{"an environment that the tenant does not have", "acme--none.app.example.com", "acme.app.example.com", "", "acme/production"},
		{"another tenant's domain", "globex.test", "app.acme.test", "", CodeMisdirectedRequest},
		{"another tenant's domain, spelled otherwise", "GLOBEX.test", "app.acme.test", "", CodeMisdirectedRequest},
		{"another tenant's subdomain", "globex.app.example.com", "app.acme.test", "", CodeMisdirectedRequest},
		{"another tenant's unknown environment", "globex--none.app.example.com", "acme.app.example.com", "", CodeMisdirectedRequest},
		{"another tenant's name, and a header", "globex.test", "gateway.internal", "acme", CodeMisdirectedRequest},
		{"a name of nobody's", "gateway.internal", "app.acme.test", "", "acme/production"},
		{"an unknown subdomain", "nobody.app.example.com", "app.acme.test", "", "acme/production"},
		{"a reserved subdomain", "www.app.example.com", "app.acme.test", "", "acme/production"},
		{"a malformed subdomain", "a--b--c.app.example.com", "app.acme.test", "", "acme/production"},
		{"an address", "127.0.0.1", "app.acme.test", "", "acme/production"},
		{"no name at all", "a_b..c", "app.acme.test", "", "acme/production"},
		{"another tenant's name, and a Host of nobody's", "globex.test", "nobody.test", "", CodeTenantNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := overTLS(t, tt.serverName, tt.host)
			if tt.header != "" {
				r.HTTP.Header.Set(DefaultTenantHeader, tt.header)
			}
			if got := outcome(newRouter(t, newWorld(), subdomain, domain, header).Route(t.Context(), r)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if r.HTTP.Host != tt.host {
				t.Errorf("the request's Host is now %s", r.HTTP.Host)
			}
		})
	}
}

// Promise: a suspended tenant's name on a connection of another tenant is misdirected first of all.
func TestServerNameBeforeStatus(t *testing.T) {
	w := newWorld()
	w.set("acme", func(res *registry.Resolved) { res.Tenant.Status = registry.StatusSuspended })
	rt := newRouter(t, w, must(NewDomain()))
	if got := outcome(rt.Route(t.Context(), overTLS(t, "globex.test", "app.acme.test"))); got != CodeMisdirectedRequest {
		t.Errorf("got %s", got)
	}
}

// Promise: while the registry cannot say whose the server name is, the decision stands; sources that do not read the
// host name are not asked about it.
func TestServerNameWithoutRegistry(t *testing.T) {
	w := newWorld()
	w.fail = func(ref registry.Reference) error {
		if ref.Key == "globex.test" {
			return fmt.Errorf("%w: down", registry.ErrUnavailable)
		}
		return nil
	}
	rt := newRouter(t, w, must(NewDomain()))
	if got := outcome(rt.Route(t.Context(), overTLS(t, "globex.test", "app.acme.test"))); got != "acme/production" {
		t.Errorf("got %s", got)
	}
	w.asked = nil
	path := newRouter(t, w, must(NewPath("/t/{tenant}", false)))
	r := request(t, "gateway.internal", "/t/acme/x")
	r.HTTP.TLS = &tls.ConnectionState{ServerName: "initech.test"}
	if got := outcome(path.Route(t.Context(), r)); got != "acme/production" || len(w.asked) != 1 {
		t.Errorf("got %s with %v", got, w.asked)
	}
}

// serverNamePaths are what TLS may cost on the hot path.
func serverNamePaths(tb testing.TB) []hotPath {
	rt := newRouter(tb, &hit{res: newWorld().byRef[slug("acme", "")]}, must(NewDomain()))
	route := func(r *Request) func() {
		return func() {
			if _, err := rt.Route(context.Background(), r); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return []hotPath{
		{"server name/equal", 0, route(overTLS(tb, "app.acme.test", "app.acme.test"))},
		{"server name/none", 0, route(overTLS(tb, "", "app.acme.test"))},
		{"server name/of nobody's", 0, route(overTLS(tb, "a_b", "app.acme.test"))},
		{"server name/other", 2, route(overTLS(tb, "dev.acme.test", "app.acme.test"))},
	}
}

// BenchmarkServerName measures what TLS adds.
func BenchmarkServerName(b *testing.B) {
	for _, p := range serverNamePaths(b) {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.run()
			}
		})
	}
}
