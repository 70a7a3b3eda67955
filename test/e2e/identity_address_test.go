package e2e_test

import (
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a tenant's list of addresses is held against the client's address, as the trusted proxies say it, in IPv4 and
// IPv6; behind them nobody can make it up.
func TestAddressBehindTrustedProxies(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	newPeople(t, b).exec(t, "UPDATE sys_organization SET security_policy = ? WHERE id = ?", demanding["address"], acmeID)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Site: tokenlessSite,
		Global: "servers {\ntrusted_proxies static 127.0.0.1 192.0.2.0/24\ntrusted_proxies_strict\n}",
	})
	for _, tt := range []struct{ forwarded, want string }{
		{"", "policy_denied"},
		{"10.1.2.3", "acme-production [] []"},
		{"11.1.2.3", "policy_denied"},
		{"2001:db8::5", "acme-production [] []"},
		{"2001:db9::5", "policy_denied"},
		{"::ffff:10.1.2.3", "acme-production [] []"},
		{"10.1.2.3, 192.0.2.7", "acme-production [] []"}, // through two trusted proxies
		{"10.1.2.3, 203.0.113.1", "policy_denied"},       // the client wrote the first one
		{"not an address", "policy_denied"},
	} {
		ask := harness.Ask{Host: "acme.app.test", Header: map[string]string{}}
		if tt.forwarded != "" {
			ask.Header["X-Forwarded-For"] = tt.forwarded
		}
		if got, err := outcome(t, g, ask); err != nil || got != tt.want {
			t.Errorf("X-Forwarded-For %q: %s (%v), want %s", tt.forwarded, got, err, tt.want)
		}
	}
}

// tokenlessSite is a site that asks for no proof.
const tokenlessSite = "tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {\ndynamic tenant\n}\n"
