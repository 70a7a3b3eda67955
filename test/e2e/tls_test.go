package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// secured is a gateway that serves HTTPS with certificates on demand, from a certificate authority of its own.
type secured struct {
	*harness.Gateway
	mu      sync.Mutex
	clients map[string]*http.Client // by server name
	roots   *x509.CertPool
}

// startSecured starts one with the given options of the app, and of the permission.
func startSecured(t *testing.T, b backend, tenants, permission string) *secured {
	t.Helper()
	return &secured{
		Gateway: harness.Start(t, harness.Options{
			Caddyfile: fmt.Sprintf(`{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	https_port {$PORT}
	metrics
	on_demand_tls {
		permission tenant %s
	}
	tenants {
		%s
		%s
	}
}

https:// {
	bind 127.0.0.1
	tls {
		on_demand
		issuer internal
	}
	tenant {
		identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify domain
	}
	reverse_proxy {
		dynamic tenant
	}
}
`, permission, b.directive("poll_interval 500ms"), tenants),
			Env: b.env(),
		}),
		clients: map[string]*http.Client{},
	}
}

// client returns a client whose connections are for one server name, HTTP/2 where it can be.
func (s *secured) client(t testing.TB, serverName string) *http.Client {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots == nil {
		pem, err := os.ReadFile(filepath.Join(s.Dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
		if err != nil {
			t.Fatal(err)
		}
		s.roots = x509.NewCertPool()
		if !s.roots.AppendCertsFromPEM(pem) {
			t.Fatal("no root certificate")
		}
	}
	c := s.clients[serverName]
	if c == nil {
		c = &http.Client{
			Timeout: 20 * time.Second,
			Transport: &http.Transport{
				ForceAttemptHTTP2: true,
				TLSClientConfig:   &tls.Config{ServerName: serverName, RootCAs: s.roots, MinVersion: tls.VersionTLS12},
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, s.Address)
				},
			},
		}
		t.Cleanup(c.CloseIdleConnections)
		s.clients[serverName] = c
	}
	return c
}

// ask sends a GET for a host over a connection for a server name.
func (s *secured) ask(t testing.TB, serverName, host string) (answer harness.Answer, proto string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+serverName+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := s.client(t, serverName).Do(r)
	if err != nil {
		return harness.Answer{}, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return harness.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, resp.Proto, err
}

// upstream returns which upstream answers for a name, a status as text, or why there was no connection.
func (s *secured) upstream(t testing.TB, host string) string {
	t.Helper()
	a, _, err := s.ask(t, host, host)
	var alert tls.AlertError
	var refused *net.OpError
	switch {
	case errors.As(err, &alert), errors.As(err, &refused) && refused.Op == "remote error":
		return "no certificate"
	case err != nil:
		return err.Error()
	case a.Status != http.StatusOK:
		return fmt.Sprintf("status %d", a.Status)
	}
	var e harness.Echo
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		return err.Error()
	}
	return e.Upstream
}

// becomes is a condition for harness.Eventually.
func (s *secured) becomes(t testing.TB, host, want string) func() error {
	return func() error {
		if got := s.upstream(t, host); got != want {
			return fmt.Errorf("%s: %s, want %s", host, got, want)
		}
		return nil
	}
}

// store opens the registry beside the gateway, as another tool of the operator's would.
func (b backend) store(t testing.TB) *registry.Store {
	t.Helper()
	s, err := registry.Open(registry.Options{URL: b.url, AuthToken: b.token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// domainTenants are those of someTenants with a domain for globex, one that is suspended and one whose environment is.
func domainTenants(u upstreams) document {
	d := someTenants(u)
	d.Tenants[1].Environments[0].Domains = []string{"globex.test"}
	up := []string{u.globex.Address}
	d.Tenants = append(d.Tenants,
		tenant{Slug: "held", Name: "Held", Plan: "pro", Status: "suspended", Environments: []environment{
			{Slug: "production", Name: "P", Type: "production", Upstreams: up, Domains: []string{"held.test"}},
		}},
		tenant{Slug: "partly", Name: "Partly", Plan: "pro", Environments: []environment{
			{Slug: "production", Name: "P", Type: "production", IsDefault: true, Upstreams: up},
			{Slug: "dev", Name: "D", Type: "development", Status: "suspended", Upstreams: up, Domains: []string{"dev.partly.test"}},
		}},
		tenant{Slug: "late", Name: "Late", Plan: "pro", SubscriptionExpiresAt: "2020-01-01T00:00:00Z", Environments: []environment{
			{Slug: "production", Name: "P", Type: "production", Upstreams: up, Domains: []string{"late.test"}},
		}})
	return d
}

// Promise: a verified domain of an active tenant gets a certificate and is served; a claimed one, an unknown one, and
// those of a suspended tenant or environment get none. A subdomain gets one where the permission has its pattern. What
// becomes verified is served within two polls.
func TestCertificatesOnDemand(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, domainTenants(u))
		store := b.store(t)
		claim, err := store.AddDomain(t.Context(), uuid.MustParse(acmeProdID), "claimed.acme.test", "u1", "user")
		if err != nil {
			t.Fatal(err)
		}
		g := startSecured(t, b, "domains off", "{\nsubdomains {tenant}.app.test {tenant}--{environment}.app.test\n}")
		for host, want := range map[string]string{
			"app.acme.test":      "acme-production",
			"dev.acme.test":      "acme-dev",
			"globex.test":        "globex",
			"late.test":          "status 402", // visitors shall read why
			"acme.app.test":      "acme-production",
			"acme--dev.app.test": "acme-dev",

			"claimed.acme.test":   "no certificate",
			"unknown.test":        "no certificate",
			"sub.app.acme.test":   "no certificate",
			"held.test":           "no certificate",
			"dev.partly.test":     "no certificate",
			"held.app.test":       "no certificate",
			"nobody.app.test":     "no certificate",
			"acme--none.app.test": "no certificate",
		} {
			if got := g.upstream(t, host); got != want {
				t.Errorf("%s: %s, want %s", host, got, want)
			}
		}
		if _, err := store.VerifyDomain(t.Context(), claim.Environment, claim.Hostname, "", registry.DomainOperator, "op", "operator"); err != nil {
			t.Fatal(err)
		}
		took := harness.Eventually(t, 5*time.Second, g.becomes(t, "claimed.acme.test", "acme-production"))
		t.Logf("served %s after it was verified", took.Round(time.Millisecond))
		// A certificate that is there does not let anybody in.
		db := harness.OpenSQL(t, b.url, b.token)
		harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'globex'")
		harness.Eventually(t, 5*time.Second, g.becomes(t, "globex.test", "status 403"))
	})
}

// Promise: over one HTTP/2 connection, a request for another tenant's name is misdirected, whatever the connection was
// made for, and one for another name of the same tenant is served.
func TestMisdirectedRequest(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startUpstreams(t)
	b.load(t, domainTenants(u))
	g := startSecured(t, b, "domains off", "{\nsubdomains {tenant}.app.test\n}")
	for _, tt := range []struct{ serverName, host, want string }{
		{"app.acme.test", "app.acme.test", "acme-production"},
		{"app.acme.test", "dev.acme.test", "acme-dev"},
		{"app.acme.test", "acme.app.test", "acme-production"},
		{"acme.app.test", "app.acme.test", "acme-production"},
		{"app.acme.test", "globex.test", "misdirected_request"},
		{"app.acme.test", "globex.app.test", "misdirected_request"},
		{"globex.app.test", "app.acme.test", "misdirected_request"},
		{"app.acme.test", "held.test", "misdirected_request"},
		{"app.acme.test", "unknown.test", "tenant_not_found"},
	} {
		a, proto, err := g.ask(t, tt.serverName, tt.host)
		if err != nil {
			t.Fatal(err)
		}
		got := a.Header.Get("Content-Type")
		if a.Status == http.StatusOK {
			got = a.Echo(t).Upstream
		} else if strings.HasPrefix(got, "application/problem+json") {
			got = a.Problem(t).Code
		}
		if got != tt.want || proto != "HTTP/2.0" || (a.Status == http.StatusMisdirectedRequest) != (tt.want == "misdirected_request") {
			t.Errorf("%s for %s: %s, status %d, %s; want %s", tt.serverName, tt.host, got, a.Status, proto, tt.want)
		}
	}
}

// Promise: a reload keeps what the gateway knows of names: the served ones are served, unknown ones are denied from
// memory, and names that become verified afterwards are served, too.
func TestCertificatesAfterReload(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startUpstreams(t)
	b.load(t, domainTenants(u))
	g := startSecured(t, b, "domains off", "")
	complete := func() error {
		if n := metric(t, g.Gateway, `tenantgate_permission_names{complete="true"}`); n < 4 {
			return fmt.Errorf("%v names in memory", n)
		}
		return nil
	}
	harness.Eventually(t, 10*time.Second, complete)
	for range 3 {
		if r := g.Reload(t, harness.Options{}); r.ExitCode != 0 {
			t.Fatal(r.Output())
		}
		if err := complete(); err != nil {
			t.Error(err)
		}
	}
	loads := metric(t, g.Gateway, "tenantgate_cache_loads_total")
	if got := g.upstream(t, "unknown.test"); got != "no certificate" {
		t.Errorf("unknown: %s", got)
	}
	if n := metric(t, g.Gateway, "tenantgate_cache_loads_total"); n != loads {
		t.Errorf("the registry was asked %v times", n-loads)
	}
	if got := g.upstream(t, "app.acme.test"); got != "acme-production" {
		t.Errorf("served: %s", got)
	}
	if _, err := b.store(t).VerifyDomain(t.Context(), uuid.MustParse(globexProd), "new.globex.test", "", registry.DomainOperator, "op", ""); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 5*time.Second, g.becomes(t, "new.globex.test", "globex"))
}

// Promise: a gateway that starts while the registry is down serves the domains that it knew, with their certificates,
// and others once the registry is back.
func TestCertificatesWithoutRegistry(t *testing.T) {
	t.Parallel()
	s := sqldBackend(t)
	u := startUpstreams(t)
	s.load(t, domainTenants(u))
	first := startSecured(t, s.backend, "domains off", "")
	if got := first.upstream(t, "app.acme.test"); got != "acme-production" {
		t.Fatalf("at first: %s", got)
	}
	first.Stop(t)
	s.proxy.Down()
	again := harness.Start(t, harness.Options{
		Dir: first.Dir, File: "Caddyfile", Address: first.Address, Admin: first.Admin, Env: s.env(),
	})
	g := &secured{Gateway: again, clients: map[string]*http.Client{}}
	if got := g.upstream(t, "app.acme.test"); got != "acme-production" {
		t.Errorf("without the registry: %s", got)
	}
	if got := g.upstream(t, "globex.test"); got != "no certificate" {
		t.Errorf("not known before: %s", got)
	}
	s.proxy.Up(t)
	harness.Eventually(t, 20*time.Second, g.becomes(t, "globex.test", "globex"))
}
