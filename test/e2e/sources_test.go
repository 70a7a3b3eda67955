package e2e_test

import (
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: every source finds the tenant and the environment that a request means, and the request reaches that
// environment's upstream with the headers of exactly that tenant.
func TestSources(t *testing.T) {
	type want struct {
		upstream, tenant, environment string
		// uri is what the upstream sees in the request line.
		uri string
	}
	production := func(uri string) want { return want{"acme-production", acmeID, acmeProdID, uri} }
	dev := func(uri string) want { return want{"acme-dev", acmeID, acmeDevID, uri} }
	globex := func(uri string) want { return want{"globex", globexID, globexProd, uri} }

	tests := []struct {
		name, site string
		asks       []harness.Ask
		want       want
	}{
		{
			"subdomain", "identify subdomain {tenant}.app.test",
			[]harness.Ask{
				{Host: "acme.app.test", Path: "/a?b=c"},
				{Host: "ACME.App.Test", Path: "/a?b=c"},
				{Host: "acme.app.test:8443", Path: "/a?b=c"},
				{Host: "acme.app.test.", Path: "/a?b=c"},
			},
			production("/a?b=c"),
		},
		{
			"subdomain with environment", "identify subdomain {tenant}.app.test {tenant}--{environment}.app.test {environment}.{tenant}.app.test",
			[]harness.Ask{{Host: "acme--dev.app.test"}, {Host: "dev.acme.app.test"}},
			dev("/"),
		},
		{"domain", "identify domain", []harness.Ask{{Host: "app.acme.test"}, {Host: "App.ACME.test.:80"}}, production("/")},
		{"domain of an environment", "identify domain", []harness.Ask{{Host: "dev.acme.test"}}, dev("/")},
		{
			"path", "identify path /t/{tenant}",
			[]harness.Ask{{Path: "/t/acme/x%20y?q=1"}},
			production("/t/acme/x%20y?q=1"),
		},
		{
			"path with strip", "identify path /t/{tenant}/{environment} {\nstrip\n}",
			[]harness.Ask{{Path: "/t/acme/dev/x%20y?q=1"}},
			dev("/x%20y?q=1"),
		},
		{
			"path with strip and nothing behind it", "identify path /t/{tenant} {\nstrip\n}",
			[]harness.Ask{{Path: "/t/acme"}, {Path: "/t/acme/"}},
			production("/"),
		},
		{
			"header", "identify header X-Tenant-ID X-Environment-ID",
			[]harness.Ask{
				{Header: map[string]string{"X-Tenant-ID": "acme", "X-Environment-ID": "dev"}},
				{Header: map[string]string{"X-Tenant-ID": acmeID, "X-Environment-ID": acmeDevID}},
			},
			dev("/"),
		},
		{
			"query", "identify query tenant environment",
			[]harness.Ask{{Path: "/a?x=1&tenant=acme&environment=dev"}},
			dev("/a?x=1&tenant=acme&environment=dev"),
		},
		{
			"query with removal", "identify query tenant {\nremove\n}",
			[]harness.Ask{{Path: "/a?x=1&tenant=acme&y=%20"}},
			production("/a?x=1&y=%20"),
		},
		{
			"placeholder", "identify placeholder {http.request.header.X-Customer}",
			[]harness.Ask{{Header: map[string]string{"X-Customer": "globex"}}},
			globex("/"),
		},
		{"default", "identify default acme dev", []harness.Ask{{Host: "whatever.test"}}, dev("/")},
		{
			"default counts only where nothing else does", "identify subdomain {tenant}.app.test\nidentify default globex",
			[]harness.Ask{{Host: "acme.app.test"}},
			production("/"),
		},
		{
			"reserved names are no tenants", "identify subdomain {tenant}.app.test\nidentify default globex\nreserve www acme",
			[]harness.Ask{{Host: "acme.app.test"}, {Host: "www.app.test"}},
			globex("/"),
		},
		{
			"an unknown domain counts as nothing", "identify domain\nidentify header X-Tenant-ID",
			[]harness.Ask{{Host: "gateway.test", Header: map[string]string{"X-Tenant-ID": "acme"}}},
			production("/"),
		},
	}
	onEachBackend(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, someTenants(u))
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				g := harness.Start(t, harness.Options{
					Tenants: b.directive(""),
					Site:    "tenant {\n" + tt.site + "\n}\ntenant_proxy",
					Env:     b.env(),
				})
				for _, ask := range tt.asks {
					e := g.Send(t, ask).Echo(t)
					if e.Upstream != tt.want.upstream || e.URI != tt.want.uri {
						t.Errorf("%+v: upstream %s got %s, want %s and %s", ask, e.Upstream, e.URI, tt.want.upstream, tt.want.uri)
					}
					for name, value := range map[string]string{"X-Tenant-ID": tt.want.tenant, "X-Environment-ID": tt.want.environment} {
						if got := e.Values(name); len(got) != 1 || got[0] != value {
							t.Errorf("%+v: the upstream got %s %q, want %s", ask, name, got, value)
						}
					}
				}
			})
		}
	})
}

// Promise: the upstream is told who the tenant is, in the headers that README lists, and nothing of its data plane
// unless it was asked for.
func TestInjectedHeaders(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	d.Tenants[1].Name = "Glöbex GmbH"
	b.load(t, d)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site:    "tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {\ndynamic tenant\n}",
	})
	for _, tt := range []struct {
		host string
		want map[string]string
	}{
		{"acme.app.test", map[string]string{
			"X-Tenant-ID": acmeID, "X-Tenant-Slug": "acme", "X-Tenant-Name": "Acme Corp", "X-Tenant-Plan": "pro",
			"X-Tenant-Isolation": "isolated_db", "X-Environment-ID": acmeProdID, "X-Environment-Slug": "production",
			"X-Environment-Type": "production", "X-Environment-Region": "eu-west-1",
			"X-Tenant-Database": "", "X-Tenant-Schema": "", "X-User-ID": "", "X-User-Role": "", "X-Tenant-Context": "",
		}},
		{"globex.app.test", map[string]string{
			"X-Tenant-ID": globexID, "X-Tenant-Slug": "globex", "X-Tenant-Name": "Gl%C3%B6bex GmbH", "X-Tenant-Plan": "free",
			"X-Environment-ID": globexProd, "X-Environment-Slug": "production",
		}},
	} {
		e := g.Get(t, tt.host, "/").Echo(t)
		for name, value := range tt.want {
			got := e.Values(name)
			if value == "" && len(got) != 0 || value != "" && (len(got) != 1 || got[0] != value) {
				t.Errorf("%s: the upstream got %s %q, want %q", tt.host, name, got, value)
			}
		}
		if e.Host != tt.host {
			t.Errorf("the upstream got Host %q, want %q", e.Host, tt.host)
		}
	}
}

// Promise: reverse_proxy {tenant.upstream} serves tenants with one upstream, and placeholders and the matcher know the
// tenant.
func TestPlaceholdersAndMatcher(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site: `tenant {
			identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		}
		@canary {
			path /which
			tenant metadata canary=true
		}
		header Served-To {tenant.slug}/{tenant.environment.slug}/{tenant.plan}/{tenant.source}/{tenant.metadata.canary}
		respond @canary "canary {tenant.id}"
		reverse_proxy {tenant.upstream}`,
	})
	a := g.Get(t, "acme--dev.app.test", "/")
	if got := a.Echo(t).Upstream; got != "acme-dev" {
		t.Errorf("upstream %s answered, want acme-dev", got)
	}
	if got, want := a.Header.Get("Served-To"), "acme/dev/pro/subdomain/true"; got != want {
		t.Errorf("placeholders gave %q, want %q", got, want)
	}
	if got := g.Get(t, "acme.app.test", "/which"); got.Body != "canary "+acmeID {
		t.Errorf("the matcher did not take acme: %+v", got)
	}
	if got := g.Get(t, "globex.app.test", "/which").Echo(t).Upstream; got != "globex" {
		t.Errorf("upstream %s answered, want globex", got)
	}
}
