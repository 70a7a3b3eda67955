package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
	_ "github.com/caddyserver/caddy/v2/modules/standard"          // what the Caddyfiles name
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	_ "github.com/tenantgate/tenantgate"
	"github.com/tenantgate/tenantgate/registry"
)

// someFacts are those of two tenants of one plan, and of one that is over its limit at once.
func someFacts() []tenantFacts {
	facts := func(slug, plan string, limit int64) tenantFacts {
		return factsIn(&registry.Resolved{
			Tenant: registry.ResolvedTenant{
				ID: uuid.MustParse("0190a000-0000-7000-8000-000000000001"), Slug: slug, Name: "Tenant " + slug, Plan: plan,
				Isolation: "shared_schema", Quotas: registry.Quotas{APIRateLimit: limit},
			},
			Environment: registry.ResolvedEnvironment{
				ID: uuid.MustParse("0190a000-0000-7000-8000-000000000002"), Slug: "production", Type: "production", Region: "eu-west-1",
			},
		})
	}
	return []tenantFacts{facts("t0000000", "pro", 60_000_000), facts("t0000001", "pro", 60_000_000), facts("limited", "limited", 1)}
}

// someConfig is one with which each template can be filled.
func someConfig(t *testing.T) peerConfig {
	return peerConfig{
		Address: "127.0.0.1:21802", Upstream: "127.0.0.1:21800", Threads: 2, Home: t.TempDir(), Tenants: someFacts(), Modules: nginxModules,
		RedisHost: "127.0.0.1", RedisPort: "21804", Auth: "127.0.0.1:21806", Key: "key.pem",
	}
}

// Each peer is told where to listen and to forward to, knows every tenant with its limit, and sends all nine headers.
func TestPeerConfigurations(t *testing.T) {
	c := someConfig(t)
	for name, want := range map[string][]string{
		"nginx-limit-req.conf": {
			"listen 127.0.0.1:21802;", "server 127.0.0.1:21800;", "worker_processes 2;", "access_log off;", "keepalive 256;",
			"limit_req_zone $key_pro zone=pro:10m rate=1000000r/s;", "limit_req zone=pro burst=59999999 nodelay;",
			"limit_req_zone $key_limited zone=limited:10m rate=1r/m;", "limit_req zone=limited;",
			`t0000001 "Tenant t0000001";`, "proxy_set_header X-Tenant-ID $tenant_id;", "proxy_set_header X-Environment-Region $environment_region;",
		},
		"haproxy.cfg": {
			"bind 127.0.0.1:21802", "server app 127.0.0.1:21800", "nbthread 2", "stick-table type string", "deny deny_status 429",
			"track-sc0 var(txn.facts),field(3,|)", "set-header X-Tenant-ID %[var(txn.facts),field(2,|)]",
			"set-header X-Tenant-Slug %[var(txn.facts),field(3,|)]", "set-header X-Environment-Region %[var(txn.facts),field(10,|)]",
		},
		"nginx-lua-redis.conf": {
			"listen 127.0.0.1:21802;", "server 127.0.0.1:21800;", `r:connect("127.0.0.1", 21804)`, `"X-Tenant-ID", "X-Tenant-Slug",`, "ngx.exit(429)",
		},
		"forward-auth.Caddyfile": {
			"forward_auth 127.0.0.1:21806", "reverse_proxy 127.0.0.1:21800",
			"copy_headers X-Tenant-ID X-Tenant-Slug X-Tenant-Name X-Tenant-Plan X-Tenant-Isolation " +
				"X-Environment-ID X-Environment-Slug X-Environment-Type X-Environment-Region\n",
		},
		"gateway-jwt.Caddyfile":       {"identify jwt", "key_file key.pem"},
		"gateway-transport.Caddyfile": {"transport tenant"},
		"gateway-proxy.Caddyfile":     {"identify subdomain", "tenant_proxy"},
		"gateway-late.Caddyfile":      {"inject late", "tenant_proxy"},
		"gateway-proxy-jwt.Caddyfile": {"identify jwt", "key_file key.pem", "tenant_proxy"},
		"plain-transport.Caddyfile":   {"reverse_proxy 127.0.0.1:21800 {", "transport tenant"},
	} {
		text, err := c.render(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(text), "# ") {
			t.Errorf("%s does not begin with what it does", name)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q:\n%s", name, part, text)
			}
		}
		if strings.Contains(text, "<no value>") {
			t.Errorf("%s has a gap:\n%s", name, text)
		}
	}
	if _, err := c.render("nothing"); err == nil {
		t.Error("a template that is not there: no error")
	}
}

// HAProxy finds the limit and the headers at the places that its configuration names.
func TestHAProxyMap(t *testing.T) {
	c := someConfig(t)
	rows := strings.Split(strings.TrimSpace(haproxyMap(c.Tenants)), "\n")
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3: %q", len(rows), rows)
	}
	for i, tenant := range c.Tenants {
		host, value, _ := strings.Cut(rows[i], " ")
		fields := strings.Split(value, "|")
		if host != tenant.Slug+".bench.test" || fields[0] != fmt.Sprint(tenant.PerMinute) {
			t.Errorf("row %q of %s", rows[i], tenant.Slug)
		}
		for k, column := range c.Columns() {
			if got := fields[column.Field-1]; got != tenant.Headers[k].Value {
				t.Errorf("%s, field %d: %q, want %q", column.Header, column.Field, got, tenant.Headers[k].Value)
			}
		}
	}
}

// The Caddyfiles are ones that Caddy takes, with every module that is there.
func TestPeerCaddyfiles(t *testing.T) {
	c := someConfig(t)
	key, _, err := writeTokens(c.Home, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.Key = key
	_, err = caddy.GetModule(leanModule)
	lean := err == nil
	for name, needsLean := range map[string]bool{
		"forward-auth.Caddyfile": false, "gateway-jwt.Caddyfile": false, "gateway-transport.Caddyfile": true, "plain-transport.Caddyfile": true,
		"gateway-proxy.Caddyfile": true, "gateway-late.Caddyfile": true, "gateway-proxy-jwt.Caddyfile": true,
	} {
		if needsLean && !lean {
			continue
		}
		site, err := c.render(name)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(caddyfile, "127.0.0.1:21803", gatewayOptions("file:"+c.Home+"/registry.db", 10), 21802, site)
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// The auth service does what forward_auth is compared for: it knows the tenant, says what goes upstream, and holds it to
// its limit by the minute.
func TestAuthService(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 50, 0, time.UTC)
	facts := someFacts()
	service := newAuthService(facts, func() time.Time { return now })
	ask := func(host string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/auth", nil)
		r.Header.Set("X-Forwarded-Host", host)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w
	}
	for range 3 {
		resp := ask("t0000001.bench.test")
		if resp.Code != http.StatusOK {
			t.Fatalf("status %d", resp.Code)
		}
		for _, h := range facts[1].Headers {
			if got := resp.Header().Get(h.Name); got != h.Value {
				t.Errorf("%s is %q, want %q", h.Name, got, h.Value)
			}
		}
	}
	for _, host := range []string{"nobody.bench.test", "t0000001.elsewhere.test", "t0000001", ""} {
		if resp := ask(host); resp.Code != http.StatusNotFound || resp.Header().Get("X-Tenant-ID") != "" {
			t.Errorf("%q: status %d, %v", host, resp.Code, resp.Header())
		}
	}
	for _, tt := range []struct {
		after  time.Duration
		status int
	}{{0, 200}, {0, 429}, {5 * time.Second, 429}, {5 * time.Second, 200}, {time.Second, 429}} {
		now = now.Add(tt.after)
		resp := ask("limited.bench.test")
		if resp.Code != tt.status {
			t.Errorf("at %s: status %d, want %d", now, resp.Code, tt.status)
		}
		if after := resp.Header().Get("Retry-After"); (after != "") != (tt.status == 429) {
			t.Errorf("at %s: Retry-After %q", now, after)
		}
	}
}

// Each tenant has a token of its own that the public key verifies.
func TestWriteTokens(t *testing.T) {
	key, tokens, err := writeTokens(t.TempDir(), 3, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwt.ParseECPublicKeyFromPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		line, err := lineOf(tokens, i)
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(line, claims, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithExpirationRequired()); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
		if want := fmt.Sprintf("t%07d", i); claims["tenant_id"] != want {
			t.Errorf("token %d is for %v, want %s", i, claims["tenant_id"], want)
		}
	}
	if line, err := lineOf(tokens, 3); err == nil {
		t.Errorf("a fourth token: %q", line)
	}
}

// A peer that does less than the others is found out before anything is measured.
func TestArrivedIn(t *testing.T) {
	facts := someFacts()[0]
	head := func(change func(headerValue) string) []byte {
		var b strings.Builder
		b.WriteString("GET /echo HTTP/1.1\r\nHost: t0000000.bench.test\r\n")
		for _, h := range facts.Headers {
			b.WriteString(change(h))
		}
		return []byte(b.String() + "\r\n")
	}
	for _, tt := range []struct {
		name   string
		change func(headerValue) string
		ok     bool
	}{
		{"all", func(h headerValue) string { return h.Name + ": " + h.Value + "\r\n" }, true},
		{"other case", func(h headerValue) string { return strings.ToLower(h.Name) + ": " + h.Value + "\r\n" }, true},
		{"one missing", func(h headerValue) string {
			if h.Name == "X-Environment-Region" {
				return ""
			}
			return h.Name + ": " + h.Value + "\r\n"
		}, false},
		{"empty", func(h headerValue) string { return h.Name + ":\r\n" }, false},
		{"twice", func(h headerValue) string { return strings.Repeat(h.Name+": "+h.Value+"\r\n", 2) }, false},
	} {
		if err := facts.arrivedIn(head(tt.change)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := facts.arrivedIn([]byte("nothing")); err == nil {
		t.Error("no request: no error")
	}
}

// Programs' versions are found in what they say, and modules by their whole name.
func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                                                               "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n":                        "2.6.12-1+deb12u4",
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=d5de2cb3c0b8e1f8\n": "7.0.15",
		"no number": "of unknown version",
	} {
		if got := version(text); got != want {
			t.Errorf("version(%q) = %q, want %q", text, got, want)
		}
	}
	const modules = "admin.api.load\nhttp.reverse_proxy.transport.tenant_other v1\nhttp.reverse_proxy.upstreams.tenant v1\n"
	if hasLine(modules, leanModule) {
		t.Error("a module was found by the beginning of another's name")
	}
	if !hasLine(modules+leanModule+" v0.0.0\n", leanModule) || !hasLine(leanModule+"\n", leanModule) {
		t.Error("the module was not found")
	}
}

// What is missing is named, so that nobody takes a table without nginx for one in which nginx was not worth a line.
func TestMissingTools(t *testing.T) {
	all := tools{Stock: "caddy", Nginx: "nginx", HAProxy: "haproxy", Redis: "redis-server", Lua: true, Lean: true}
	if missing := all.missing(); len(missing) != 0 {
		t.Errorf("missing %q", missing)
	}
	all.HAProxy, all.Lean = "", false
	if got := strings.Join(all.missing(), "|"); !strings.HasPrefix(got, "HAProxy|`transport tenant`") {
		t.Errorf("missing %q", got)
	}
}
