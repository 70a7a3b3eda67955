package e2e_test

import (
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: malformed and oversize input is refused with 400 (or by the HTTP server itself, with another status of the
// client's errors). It is never a server error, never somebody else's tenant, and the gateway serves on.
func TestMalformed(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: `tenant {
		identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify domain
		identify path /t/{tenant}/{environment}
		identify header X-Tenant-ID X-Environment-ID
		identify query tenant environment
	}
	reverse_proxy {
		dynamic tenant
	}`})

	long := strings.Repeat("a", 300)
	hosts := []string{
		"", ".", "..", "acme..app.test", ".acme.app.test", "acme.app.test..", "-acme.app.test", "acme-.app.test", "acme_.app.test",
		"acme app.test", "acme%2eapp.test", "acme%00.app.test", "%61cme.app.test", "acme.app.test:x", "acme.app.test:-1",
		"acme.app.test:99999", "acme.app.test:80:80", "acme.app.test/", "acme.app.test/globex.app.test", "acme.app.test,globex.app.test",
		"acme@globex.app.test", "user:pass@acme.app.test", "[acme.app.test]", "[::1", "[::1]:80", "::1", "127.0.0.1", "acme.app.test#", "acme.app.test?",
		long + ".app.test", strings.Repeat("a.", 200) + "app.test", strings.Repeat("a", 64) + ".app.test", "xn--.app.test", "xn--a-ecp.app.test",
		"аcme.app.test", "acme\u3002app\u3002test", "ACME\u0130.app.test", "acme--.app.test", "--dev.app.test", "acme--dev--x.app.test",
		"acme---dev.app.test", "acme\x00.app.test", "acme\x7f.app.test", "\xff\xfe.app.test", "acme\tapp.test",
		"0x7f000001", "*.app.test", "{tenant}.app.test", "{http.request.host}", "'; DROP TABLE sys_organization; --.app.test", long + long + long,
	}
	for _, host := range hosts {
		expectClientError(t, g, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	}
	for _, path := range []string{
		"/t/", "/t//dev", "/t/acme/../globex/dev/", "/t/./acme/dev", "/t/acme/./", "//t/acme/dev/", "/t/acme%2Fdev/x", "/t/acme%2fdev", "/t/%2Facme/dev", "/t/acme%5Cdev/", "/t/acme/%2e%2e/globex/", "/t/acme%00/dev",
		"/t/acme%/dev", "/t/acme%zz/dev", "/t/acme%2/dev", "/t/acme%C0%AF/dev", "/t/" + long + "/dev", "/t/acme/" + long, "/t/ACME_/dev", "/t/acme/de_v/",
		"/t/acme;x/dev", "/t/a%20b/dev", "/t/%61cme%2f/dev", "/t/{tenant}/dev", "/?tenant=", "/?tenant=acme&tenant=globex", "/?tenant=acme%00",
		"/?tenant=" + long, "/?tenant=a%2Fb", "/?tenant=%zz", "/?tenant=acme;tenant=globex", "/?environment=dev", "/?tenant=acme&environment=%ff",
		"//t/acme/dev\\x", "*", "t/acme", "http://globex.app.test/t/acme/dev/",
	} {
		expectClientError(t, g, "GET "+path+" HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
	}
	for _, lines := range []string{
		"X-Tenant-ID: ", "X-Tenant-ID: a_b", "X-Tenant-ID: " + long, "X-Tenant-ID: acme\r\nX-Tenant-ID: globex", "X-Tenant-ID: acme, globex",
		"X-Tenant-ID: acme\r\nX-Environment-ID: " + long, "X-Tenant-ID: acme\r\nX-Environment-ID: a/b", "X-Tenant-ID: \xff", "X-Tenant-ID: acme\x00",
		"X-Tenant-ID: 0190A000-0000-7000-8000-00000000000G", "X-Tenant-ID: {0190a000-0000-7000-8000-000000000001}",
		"X-Tenant-ID: " + strings.Repeat("b", 100_000), "X-Environment-ID: dev", "X-Tenant-ID: acme\r\nHost: globex.app.test",
	} {
		expectClientError(t, g, "GET / HTTP/1.1\r\nHost: gateway.test\r\n"+lines+"\r\n\r\n")
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: acme.app.test\r\nHost: globex.app.test\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"GET http://[::1/ HTTP/1.1\r\nHost: acme.app.test\r\n\r\n", "GET  / HTTP/1.1\r\nHost: acme.app.test\r\n\r\n",
	} {
		expectClientError(t, g, request)
	}

	if err := g.Ended(); err != nil {
		t.Fatal(err)
	}
	if got := g.Get(t, "acme.app.test", "/").Echo(t).Upstream; got != "acme-production" {
		t.Errorf("afterwards upstream %s answers for acme", got)
	}
}

func expectClientError(t *testing.T, g *harness.Gateway, request string) {
	t.Helper()
	answer, err := harness.SendRaw(t.Context(), g.Address, request)
	shown := request[:min(len(request), 200)]
	if err != nil {
		t.Errorf("%q: %v", shown, err)
	} else if answer.Status < 400 || answer.Status > 499 {
		t.Errorf("%q: status %d, want a client error; body %s", shown, answer.Status, answer.Body)
	}
}
