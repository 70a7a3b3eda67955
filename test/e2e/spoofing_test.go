package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// ours are the headers that an upstream trusts, because only the gateway can set them.
var ours = []string{
	"X-Tenant-ID", "X-Tenant-Slug", "X-Tenant-Name", "X-Tenant-Plan", "X-Tenant-Isolation",
	"X-Environment-ID", "X-Environment-Slug", "X-Environment-Type", "X-Environment-Region",
	"X-Tenant-Database", "X-Tenant-Schema", "X-User-ID", "X-User-Role", "X-Tenant-Context",
}

// spellings are ways to write a header so that some upstream reads it as that header.
func spellings(name string) []string {
	return []string{
		name,
		strings.ToLower(name),
		strings.ToUpper(name),
		strings.ReplaceAll(name, "-", "_"),
		strings.ToLower(strings.ReplaceAll(name, "-", "_")),
		strings.Replace(name, "-", "_", 1),
		strings.ReplaceAll(name, "-", "."),
		strings.Replace(name, "-", ".", 1),
		mixed(name, "_"),
		mixed(name, "."),
	}
}

// mixed returns the header with its last "-" replaced: X-Tenant_ID.
func mixed(name, by string) string {
	last := strings.LastIndex(name, "-")
	return name[:last] + by + name[last+1:]
}

// Promise: no client can make an upstream see a tenant header that the gateway did not set, in no spelling, by no trick
// of HTTP/1.1, with or without a tenant; and none can take away one that the gateway did set.
func TestSpoofing(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	const site = `tenant {
		identify subdomain {tenant}.app.test
		exempt /healthz
		%s
	}
	@exempt path /healthz
	reverse_proxy @exempt %s
	%s`

	// Caddy itself drops headers with "_" and "."; an operator may let them in for an application that needs others.
	letIn := "servers {\nexpected_underscore_headers x_*"
	for _, header := range ours {
		letIn += " " + mixed(header, "_")
	}
	letIn += "\nexpected_dot_headers x.*"
	for _, header := range ours {
		letIn += " " + mixed(header, ".")
	}
	letIn += "\n}"
	for name, row := range map[string]struct {
		global string
		way
	}{
		"as Caddy does":               {"", ways["reverse_proxy"]},
		"underscores and dots let in": {letIn, ways["reverse_proxy"]},
		"tenant_proxy":                {letIn, ways["tenant_proxy"]},
		"inject late":                 {letIn, ways["inject late"]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := harness.Start(t, harness.Options{Tenants: b.directive(""), Global: row.global, Site: fmt.Sprintf(site, row.inject, u.globex.Address, row.proxy)})
			// Without this the test would pass for the wrong reason.
			other := g.Send(t, harness.Ask{Host: "acme.app.test", Header: map[string]string{"x_other": "1", "x.other": "1"}}).Echo(t)
			if got := len(other.Values("X-Other")); (got == 2) != (row.global != "") {
				t.Errorf("the upstream got %d of two other headers", got)
			}
			for _, header := range ours {
				for _, spelled := range spellings(header) {
					checkSpoof(t, g, header, "GET {path} HTTP/1.1\r\nHost: acme.app.test\r\n"+spelled+": spoofed\r\n\r\n")
				}
				for _, trick := range []string{
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\n{name}: spoofed\r\n{name}: spoofed too\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nConnection: {name}\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nConnection: close, {name}\r\n{name}: spoofed\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nConnection: keep-alive\r\nConnection: {name}\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nConnection: Upgrade, {name}\r\nUpgrade: x\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\n{name} : spoofed\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nX-Other: 1\r\n {name}: spoofed\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nX-Other: 1\n{name}: spoofed\r\n\r\n",
					"GET {path} HTTP/1.1\r\nHost: acme.app.test\r\nX-Other: 1\r{name}: spoofed\r\n\r\n",
					"POST {path} HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\nTrailer: {name}\r\n\r\n" +
						"1\r\nx\r\n0\r\n{name}: spoofed\r\n\r\n",
					"POST {path} HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\n" +
						"1\r\nx\r\n0\r\n{name}: spoofed\r\n\r\n",
					"POST {path} HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\nTrailer: {underscored}, X-Sum\r\n" +
						"Connection: Trailer, {name}\r\n\r\n1\r\nx\r\n0\r\n{underscored}: spoofed\r\nX-Sum: 1\r\n\r\n",
					"POST {path} HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
						"1\r\nx\r\n0\r\nX-Sum: 1\r\n{name}: spoofed\r\n{underscored}: spoofed\r\n\r\n",
					"POST {path} HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" +
						"1\r\nx\r\n0\r\n{name}: spoofed\r\n\r\n",
				} {
					checkSpoof(t, g, header, strings.NewReplacer(
						"{name}", header, "{underscored}", strings.ReplaceAll(header, "-", "_"),
					).Replace(trick))
				}
			}
		})
	}
}

// set is what the gateway says of acme's default environment; the other headers stay empty.
var set = map[string]string{
	"X-Tenant-ID": acmeID, "X-Tenant-Slug": "acme", "X-Tenant-Name": "Acme Corp", "X-Tenant-Plan": "pro",
	"X-Tenant-Isolation": "isolated_db", "X-Environment-ID": acmeProdID, "X-Environment-Slug": "production",
	"X-Environment-Type": "production", "X-Environment-Region": "eu-west-1",
}

// checkSpoof sends a request to a tenant's path and to an exempt one. The server may refuse it as malformed; if it does
// not, the upstream must see of our headers what the gateway says and nothing else.
func checkSpoof(t *testing.T, g *harness.Gateway, header, request string) {
	t.Helper()
	for path, want := range map[string]string{"/": set[header], "/healthz": ""} {
		raw := strings.ReplaceAll(request, "{path}", path)
		a, err := harness.SendRaw(t.Context(), g.Address, raw)
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if a.Status == 400 {
			continue
		}
		got := a.Echo(t).Values(header)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("%q: the upstream got %s %q, want %q", raw, header, got, want)
		}
	}
}

// Promise: what a header source reads is taken off the request, and what the upstream sees there comes from the
// registry.
func TestHeaderSourceIsNotPassedOn(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site:    "tenant {\nidentify header X-Tenant-ID\n}\nreverse_proxy {\ndynamic tenant\n}",
	})
	e := g.Send(t, harness.Ask{Header: map[string]string{"X-Tenant-ID": "acme", "X-User-ID": "root"}}).Echo(t)
	if got := e.Values("X-Tenant-ID"); len(got) != 1 || got[0] != acmeID {
		t.Errorf("the upstream got X-Tenant-ID %q, want %s", got, acmeID)
	}
	if got := e.Values("X-User-ID"); len(got) != 0 {
		t.Errorf("the upstream got X-User-ID %q", got)
	}
}
