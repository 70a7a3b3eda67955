package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// manyStates is a document with a tenant, or an environment, in every state that refuses requests. None of its
// upstreams exists: nothing may get that far.
func manyStates() document {
	const nowhere = "127.0.0.1:9"
	production := func(status string) environment {
		return environment{
			Slug: "production", Name: "P", Type: "production", IsDefault: true, Status: status, Upstreams: []string{nowhere},
		}
	}
	d := document{Plans: []plan{{Name: "pro"}}}
	for _, status := range []string{"provisioning", "suspended", "archived", "failed", "destroying"} {
		d.Tenants = append(d.Tenants, tenant{
			Slug: "is-" + status, Name: status, Plan: "pro", Status: status, Environments: []environment{production("active")},
		})
	}
	for _, status := range []string{"provisioning", "suspended", "archived", "failed"} {
		d.Tenants = append(d.Tenants, tenant{
			Slug: "has-" + status, Name: status, Plan: "pro", Status: "active", Environments: []environment{production(status)},
		})
	}
	d.Tenants = append(d.Tenants, tenant{
		Slug: "expired", Name: "E", Plan: "pro", Status: "active", SubscriptionExpiresAt: "2020-01-01T00:00:00Z",
		Environments: []environment{production("active")},
	})
	return d
}

const refusingSite = `tenant {
	identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
	identify header X-Tenant-ID
	%s
}
reverse_proxy {
	dynamic tenant
}
`

// Promise: what is refused has the status and the code of README's table, as problem+json, or as a page for people
// where the client prefers HTML. Neither says anything of other tenants, databases or addresses.
func TestRefusals(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	d := manyStates()
	d.Tenants = append(d.Tenants, someTenants(u).Tenants...)
	d.Plans = append(d.Plans, plan{Name: "free"})
	b.load(t, d)
	g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "")})

	for _, tt := range []struct {
		host   string
		header map[string]string
		status int
		code   string
		retry  bool // a Retry-After header
	}{
		{host: "gateway.test", status: 400, code: "tenant_required"},
		{host: "a_b.app.test", status: 400, code: "tenant_invalid"},
		{host: strings.Repeat("a", 64) + ".app.test", status: 400, code: "tenant_invalid"},
		{host: "nobody.app.test", status: 404, code: "tenant_not_found"},
		{host: "acme--nothing.app.test", status: 404, code: "environment_not_found"},
		{host: "acme.app.test", header: map[string]string{"X-Tenant-ID": "globex"}, status: 403, code: "tenant_conflict"},
		{host: "is-suspended.app.test", status: 403, code: "tenant_suspended"},
		{host: "has-suspended.app.test", status: 403, code: "environment_suspended"},
		{host: "is-archived.app.test", status: 410, code: "tenant_inactive"},
		{host: "is-destroying.app.test", status: 410, code: "tenant_inactive"},
		{host: "has-archived.app.test", status: 410, code: "environment_inactive"},
		{host: "is-provisioning.app.test", status: 503, code: "tenant_provisioning", retry: true},
		{host: "has-provisioning.app.test", status: 503, code: "tenant_provisioning", retry: true},
		{host: "is-failed.app.test", status: 503, code: "tenant_unavailable", retry: true},
		{host: "has-failed.app.test", status: 503, code: "tenant_unavailable", retry: true},
		{host: "expired.app.test", status: 402, code: "subscription_expired"},
	} {
		t.Run(tt.host, func(t *testing.T) {
			answer := g.Send(t, harness.Ask{Host: tt.host, Path: "/a?secret=b", Header: tt.header})
			if answer.Status != tt.status {
				t.Errorf("status %d, want %d", answer.Status, tt.status)
			}
			p := answer.Problem(t)
			if p.Code != tt.code {
				t.Errorf("code %q, want %q", p.Code, tt.code)
			}
			if got := answer.Header.Get("Retry-After") != ""; got != tt.retry {
				t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
			}
			header := map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
			for name, value := range tt.header {
				header[name] = value
			}
			page := g.Send(t, harness.Ask{Host: tt.host, Header: header})
			if page.Status != tt.status || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.Body, "<html") {
				t.Errorf("for a browser: status %d, Content-Type %q, body %s", page.Status, page.Header.Get("Content-Type"), page.Body)
			}
			for _, body := range []string{answer.Body, page.Body} {
				for _, secret := range []string{"127.0.0.1", "tenants.db", acmeID, globexID, "globex"} {
					if strings.Contains(body, secret) {
						t.Errorf("the body tells %q: %s", secret, body)
					}
				}
			}
		})
	}
}

// Promise: with "errors pass" the operator's handle_errors answers, and knows status and code.
func TestErrorsPass(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	b.load(t, manyStates())
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site: fmt.Sprintf(refusingSite, "errors pass") + `
		handle_errors {
			header Our-Own yes
			respond "sorry: {err.status_code} {err.message}" {err.status_code}
		}`,
	})
	for host, want := range map[string]int{
		"nobody.app.test": 404, "is-suspended.app.test": 403, "gateway.test": 400, "is-archived.app.test": 410, "expired.app.test": 402,
		"is-failed.app.test": 503,
	} {
		answer := g.Get(t, host, "/")
		if answer.Status != want || answer.Header.Get("Our-Own") != "yes" || !strings.HasPrefix(answer.Body, fmt.Sprintf("sorry: %d", want)) {
			t.Errorf("%s: status %d, body %q; want %d from handle_errors", host, answer.Status, answer.Body, want)
		}
	}
}
