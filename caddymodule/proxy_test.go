package caddymodule

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	dto "github.com/prometheus/client_model/go"
)

// tenantsWith is an import file of tenants with one upstream list each, by slug.
func tenantsWith(tb testing.TB, upstreams map[string][]string) string {
	tb.Helper()
	type environment struct {
		Slug      string   `json:"slug"`
		IsDefault bool     `json:"isDefault"`
		Upstreams []string `json:"upstreams,omitempty"`
	}
	type tenant struct {
		Slug         string        `json:"slug"`
		Plan         string        `json:"plan"`
		Environments []environment `json:"environments"`
	}
	doc := struct {
		Plans   []map[string]string `json:"plans"`
		Tenants []tenant            `json:"tenants"`
	}{Plans: []map[string]string{{"name": "any"}}}
	for slug, ups := range upstreams {
		doc.Tenants = append(doc.Tenants, tenant{slug, "any", []environment{{"production", true, ups}}})
	}
	text, err := json.Marshal(doc)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// dynamicSite proxies to the tenant's upstreams.
const dynamicSite = "tenant {\nidentify subdomain {tenant}.app.test\nexempt /healthz\n}\nreverse_proxy {\ndynamic tenant\n%s\n}\n"

// TestProxy keeps the promise of the whole way: a tenant's request reaches that tenant's upstream with the gateway's
// headers and none of the client's.
func TestProxy(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{
		"acme": {newEcho(t, "acme")}, "globex": {newEcho(t, "globex")}, "pooled": {"pool:shared"}, "bare": nil,
		"lost": {"pool:nowhere"},
	}), "pool shared "+newEcho(t, "pool"), "upstream "+newEcho(t, "default")), fmt.Sprintf(dynamicSite, ""))
	for slug, want := range map[string]string{"acme": "acme", "globex": "globex", "pooled": "pool", "bare": "default"} {
		r := s.request(http.MethodGet, slug+".app.test", "/api?x=1", http.Header{
			"X-Tenant-Slug": {"spoofed"}, "X_Tenant_Slug": {"spoofed"}, "x-environment-id": {"spoofed"}, "X-User-Id": {"spoofed"},
			"Connection": {"X-Tenant-Slug"},
		})
		res, body := s.do(r)
		e := echoed(t, body)
		if res.StatusCode != 200 || e.Upstream != want || e.Path != "/api?x=1" || e.Header.Get("X-Tenant-Slug") != slug {
			t.Errorf("%s: %d %s", slug, res.StatusCode, body)
		}
		if strings.Contains(body, "spoofed") {
			t.Errorf("%s: spoofed headers pass: %s", slug, body)
		}
	}
	if res, _ := s.get("lost.app.test", "/"); res.StatusCode != 503 {
		t.Errorf("an unknown pool: %d", res.StatusCode)
	}
	if res, _ := s.get("acme.app.test", "/healthz"); res.StatusCode != 503 {
		t.Errorf("an exempt request without a static upstream: %d", res.StatusCode)
	}
}

// TestStaticProxy keeps the promise that reverse_proxy {tenant.upstream} is enough for the usual case, and that it does
// not speak plain HTTP to an https upstream.
func TestStaticProxy(t *testing.T) {
	secure := httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"acme": {newEcho(t, "acme")}, "secure": {secure.URL}})),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {tenant.upstream}\n")
	if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 || echoed(t, body).Upstream != "acme" {
		t.Errorf("http: %d %s", res.StatusCode, body)
	}
	if res, _ := s.get("secure.app.test", "/"); res.StatusCode != 502 {
		t.Errorf("https: %d", res.StatusCode)
	}
}

// TestTLSUpstreams keeps the promise that one reverse_proxy serves tenants with https and with http upstreams, in any
// order, and when an attempt fails.
func TestTLSUpstreams(t *testing.T) {
	secure := httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	s := newServer(t)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	ca := s.file("ca.pem", string(certificate))
	dead := "127.0.0.1:" + freePort(t)
	tenants := s.fileRegistry(tenantsWith(t, map[string][]string{
		"plain": {dead, newEcho(t, "plain")}, "secure": {"https://" + dead, secure.URL},
	}))
	s.mustLoad(tenants, fmt.Sprintf(dynamicSite, "lb_policy first\nlb_retries 3\nfail_duration 10s\ntransport http {\ntls_trust_pool file "+ca+"\n}"))
	for range 3 {
		for _, slug := range []string{"plain", "secure"} {
			res, body := s.get(slug+".app.test", "/")
			if res.StatusCode != 200 {
				t.Fatalf("%s: %d", slug, res.StatusCode)
			}
			if e := echoed(t, body); e.Upstream != slug || e.Header.Get("X-Tenant-Slug") != slug {
				t.Errorf("%s: %s", slug, body)
			}
		}
	}
	// Without the pool of trusted certificates, the https upstream is not trusted: nothing is sent in the clear.
	s.mustLoad(tenants, fmt.Sprintf(dynamicSite, "lb_policy first\nlb_retries 3\nfail_duration 10s"))
	if res, _ := s.get("secure.app.test", "/"); res.StatusCode != 502 {
		t.Errorf("an unknown certificate: %d", res.StatusCode)
	}
	if res, _ := s.get("plain.app.test", "/"); res.StatusCode != 200 {
		t.Errorf("plain, without a transport: %d", res.StatusCode)
	}
}

// TestUpstreamRateLimit keeps the promise that behind a real proxy, too, a client sees one RateLimit, the gateway's.
func TestUpstreamRateLimit(t *testing.T) {
	s := newServer(t)
	up := newEcho(t, "up")
	s.mustLoad(s.fileRegistry(`{"tenants": [{"slug": "acme", "plan": "any", "quotas": {"apiRateLimit": 60}, "upstreams": ["`+up+`"]}, {"slug": "free", "plan": "any", "upstreams": ["`+up+`"]}], "plans": [{"name": "any"}]}`),
		fmt.Sprintf(dynamicSite, ""))
	res, _ := s.get("acme.app.test", "/")
	if got := res.Header["Ratelimit"]; len(got) != 1 || !strings.HasPrefix(got[0], `"requests";r=`) {
		t.Errorf("RateLimit: %q", got)
	}
	res, _ = s.get("free.app.test", "/")
	if got := res.Header["Ratelimit"]; len(got) != 1 || !strings.HasPrefix(got[0], `"upstream"`) {
		t.Errorf("RateLimit of a tenant without limits: %q", got)
	}
}

// TestTrailers keeps the promise that spoofed trailers do not get through a real proxy, and others do.
func TestTrailers(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"acme": {newEcho(t, "acme")}})), fmt.Sprintf(dynamicSite, ""))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"+
		"Trailer: X-Tenant-Slug, X-Checksum\r\n\r\n4\r\nbody\r\n0\r\nX-Tenant-Slug: spoofed\r\nX_Tenant_Id: spoofed\r\nX-Checksum: abc\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if e := echoed(t, string(body)); strings.Contains(string(body), "spoofed") || e.Trailer.Get("X-Checksum") != "abc" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestSources keeps the promise that every source can be configured in a Caddyfile and used, a guest included.
func TestSources(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(`{"tenants": [{"slug": "acme", "plan": "any", "environments": [{"slug": "production", "isDefault": true, "domains": ["app.acme.test"]}, {"slug": "dev"}]}], "plans": [{"name": "any"}]}`), `
vars org {header.X-Org}
tenant {
	identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
	identify domain
	identify path /t/{tenant} {
		strip
	}
	identify header X-Tenant X-Environment
	identify query tenant environment {
		remove
	}
	identify placeholder {vars.org}
	identify cookie org
	identify default acme dev
}
respond "{tenant.source} {tenant.slug}/{tenant.environment.slug} {uri}"
`)
	for _, tt := range []struct {
		host, path string
		header     http.Header
		want       string
	}{
		{"acme.app.test", "/x", nil, "subdomain acme/production /x"},
		{"acme--dev.app.test:8080", "/x", nil, "subdomain acme/dev /x"},
		{"App.Acme.Test", "/x", nil, "domain acme/production /x"},
		{"any.test", "/t/acme/x?y=1", nil, "path acme/production /x?y=1"},
		{"any.test", "/x", http.Header{"X-Tenant": {"acme"}, "X-Environment": {"dev"}}, "header acme/dev /x"},
		{"any.test", "/x?a=b&tenant=acme&environment=dev", nil, "query acme/dev /x?a=b"},
		{"any.test", "/x", http.Header{"X-Org": {"acme"}}, "placeholder acme/production /x"},
		{"any.test", "/x", http.Header{"Cookie": {"org=acme"}}, "cookie acme/production /x"},
		{"any.test", "/x", nil, "default acme/dev /x"},
	} {
		res, body := s.do(s.request(http.MethodGet, tt.host, tt.path, tt.header))
		if res.StatusCode != 200 || body != tt.want {
			t.Errorf("%s%s %v: %d %s, not %s", tt.host, tt.path, tt.header, res.StatusCode, body, tt.want)
		}
	}
}

// TestTrustedProxies keeps the promise that a header source can be limited to trusted proxies.
func TestTrustedProxies(t *testing.T) {
	s := newServer(t)
	site := "tenant {\nidentify header {\nfrom_trusted_proxies\n}\n}\nrespond {tenant.slug}\n"
	r := s.request(http.MethodGet, "any.test", "/", http.Header{"X-Tenant-Id": {"acme"}})
	s.mustLoad(s.fileRegistry(twoTenants), site)
	if res, body := s.do(r); res.StatusCode != 400 {
		t.Errorf("from anybody: %d %s", res.StatusCode, body)
	}
	s.mustLoad(s.fileRegistry(twoTenants)+"}\nservers {\ntrusted_proxies static 127.0.0.0/8\n", site)
	if res, body := s.do(r); res.StatusCode != 200 || body != "acme" {
		t.Errorf("from a trusted proxy: %d %s", res.StatusCode, body)
	}
}

// TestHandleErrors keeps the promise that `errors pass` leaves the answer to handle_errors.
func TestHandleErrors(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(twoTenants), `
tenant {
	identify subdomain {tenant}.app.test
	errors pass
}
respond ok
handle_errors {
	header X-Code {tenant.error.code}
	respond "{err.status_code} {tenant.error.title}" 418
}
`)
	res, body := s.get("nobody.app.test", "/")
	if res.StatusCode != 418 || body != "404 Tenant not found" || res.Header.Get("X-Code") != "tenant_not_found" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
}

// TestAccessLog keeps the promise that the access log has the tenant, the environment, the source and the refusal.
func TestAccessLog(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	s.get("acme.app.test", "/served")
	s.get("nobody.app.test", "/refused")
	var line struct {
		Tenant      string `json:"tenant"`
		Environment string `json:"environment"`
		Source      string `json:"tenant_source"`
		Refusal     string `json:"tenant_refusal"`
		Level       string `json:"level"`
	}
	for path, want := range map[string]string{"/served": "acme production subdomain  info", "/refused": "   tenant_not_found info"} {
		eventually(t, "the log line of "+path, func() bool { return len(s.logged(`"uri":"`+path)) > 0 })
		lines := s.logged(`"uri":"` + path)
		line.Tenant, line.Environment, line.Source, line.Refusal = "", "", "", ""
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join([]string{line.Tenant, line.Environment, line.Source, line.Refusal, line.Level}, " "); got != want {
			t.Errorf("%s: %q in %s", path, got, lines[len(lines)-1])
		}
	}
}

// TestMetrics keeps the promise that counters survive a reload and that no label has a value that clients choose.
func TestMetrics(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	admitted := metric(t, "tenantgate_decisions_total", "admitted", "subdomain")
	unknown := metric(t, "tenantgate_decisions_total", "tenant_not_found", "")
	hits := metric(t, "tenantgate_cache_lookups_total", "hit")
	s.get("acme.app.test", "/")
	s.get("acme.app.test", "/")
	s.get("nobody.app.test", "/")
	s.mustLoad(s.fileRegistry(twoTenants), gate+"header X-Reloaded yes\n")
	for name, diff := range map[string]float64{
		"admitted": metric(t, "tenantgate_decisions_total", "admitted", "subdomain") - admitted - 2,
		"unknown":  metric(t, "tenantgate_decisions_total", "tenant_not_found", "") - unknown - 1,
		"hits":     metric(t, "tenantgate_cache_lookups_total", "hit") - hits - 1,
	} {
		if diff != 0 {
			t.Errorf("%s is off by %v", name, diff)
		}
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.mustLoad("registry file:"+s.dir+"/other.db", gate)
	if got := metric(t, "tenantgate_cache_lookups_total", "hit"); got < hits+1 {
		t.Errorf("the count of hits fell to %v when the registry changed", got)
	}
}

// metric reads a metric of the running configuration; the labels are given in the order of their names.
func metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if slices.Equal(values, labels) {
				return value(m)
			}
		}
	}
	return 0
}

func value(m *dto.Metric) float64 {
	if m.GetCounter() != nil {
		return m.GetCounter().GetValue()
	}
	return m.GetGauge().GetValue()
}
