package e2e_test

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// internal is what no answer may hold: names of other tenants and of files, addresses, code, SQL.
var internal = regexp.MustCompile(`(?i)globex|initech|Acme Corp|\.go\b|goroutine|panic|runtime|127\.0\.0\.1|localhost|dial |sqlite|libsql|sys_|SELECT |\.db|caddy\.|tenantgate/|hunter2`)

// Promise: no refusal tells anything of other tenants, of addresses, of the registry or of the code; none can be kept by
// a cache or be taken for a fresh answer by a condition in the request; and no byte of a request comes back in a form
// that is markup, or a header.
func TestAttackAnswers(t *testing.T) {
	t.Parallel()
	gone := harness.FreeAddress(t) // an upstream that is not there
	g, _, b := startAttacked(t, `identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify path /t/{tenant}
		identify header X-Tenant-ID
		identify jwt {
			secret `+hmacSecret+`
		}`, func(d *document) {
		for status, slug := range map[string]string{"suspended": "paused", "archived": "old", "provisioning": "new", "failed": "broken", "destroying": "leaving"} {
			d.Tenants = append(d.Tenants, tenant{Slug: slug, Name: "Globex " + slug, Plan: "pro", Status: status})
		}
		d.Tenants = append(d.Tenants,
			tenant{Slug: "lapsed", Name: "Lapsed", Plan: "pro", SubscriptionExpiresAt: "2020-01-01T00:00:00Z"},
			tenant{Slug: "used-up", Name: "Used up", Plan: "pro", Quotas: map[string]int{"apiRateLimit": 1, "burst": 1}},
			tenant{Slug: "closed", Name: "Closed", Plan: "pro"},
			tenant{Slug: "unreachable", Name: "Unreachable", Plan: "pro", Environments: []environment{
				{Slug: "production", Name: "P", Type: "production", IsDefault: true, Upstreams: []string{gone}},
			}})
	})
	db := harness.OpenSQL(t, b.url, b.token)
	harness.Exec(t, db, `UPDATE sys_organization SET security_policy = '{"accessControl":{"ipWhitelist":["192.0.2.0/24"]}}' WHERE slug = 'closed'`)
	harness.Eventually(t, soon, g.Expect(t.Context(), "closed.app.test", 403, ""))
	g.Get(t, "used-up.app.test", "/")

	const script = "/%3Cscript%3Ealert(1)%3C/script%3E%0d%0aSet-Cookie:%20a=b"
	asks := map[string]harness.Ask{
		"nothing":       {Host: "any.test", Path: script},
		"malformed":     {Host: "acme--x--y.app.test", Path: script},
		"unknown":       {Host: "nobody.app.test", Path: script},
		"environment":   {Host: "acme--none.app.test", Path: script},
		"conflict":      {Host: "acme.app.test", Path: script, Header: map[string]string{"X-Tenant-ID": "globex"}},
		"token":         {Host: "acme.app.test", Path: script, Header: map[string]string{"Authorization": "Bearer <script>"}},
		"used up":       {Host: "used-up.app.test", Path: script},
		"path":          {Host: "any.test", Path: "/t/%3Cscript%3E/"},
		"address":       {Host: "closed.app.test", Path: script},
		"subscription":  {Host: "lapsed.app.test", Path: script},
		"dead upstream": {Host: "unreachable.app.test", Path: script},
	}
	for _, slug := range []string{"paused", "old", "new", "broken", "leaving"} {
		asks[slug] = harness.Ask{Host: slug + ".app.test", Path: script}
	}
	for name, ask := range asks {
		for _, accept := range []string{"*/*", "text/html", "application/json"} {
			header := map[string]string{
				"Accept": accept, "If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "Range": "bytes=0-0",
				"Origin": "https://evil.test", "X-Forwarded-Host": "evil.test", "X-Request-Id": "<script>",
			}
			maps.Copy(header, ask.Header)
			answer := g.Send(t, harness.Ask{Host: ask.Host, Path: ask.Path, Header: header})
			all := answer.Body + fmt.Sprint(answer.Header)
			if answer.Status < 400 || answer.Status == 416 {
				t.Errorf("%s: status %d", name, answer.Status)
			}
			if found := internal.FindString(all); found != "" {
				t.Errorf("%s, %s: the answer holds %q: %s", name, accept, found, all)
			}
			if strings.Contains(answer.Body, "<script") || strings.Contains(all, "evil.test") || answer.Header.Get("Location") != "" || answer.Header.Get("Set-Cookie") != "" ||
				answer.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, %s: the answer repeats the request: %s", name, accept, all)
			}
			if name == "dead upstream" {
				continue // Caddy's own answer
			}
			if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Vary") != "Accept" || answer.Header.Get("ETag") != "" ||
				answer.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s, %s: headers %v", name, accept, answer.Header)
			}
			if html := strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html"); html != (accept == "text/html") ||
				html && answer.Header.Get("Content-Security-Policy") != "default-src 'none'" {
				t.Errorf("%s, %s: headers %v", name, accept, answer.Header)
			}
		}
	}
}

// Promise: an allow list of addresses is about the address that the connection comes from. What a client says of itself
// does not count unless the operator has named the proxy that says it, and the PROXY protocol is not assumed.
func TestAttackAddress(t *testing.T) {
	t.Parallel()
	g, w, b := startAttacked(t, "identify subdomain {tenant}.app.test", nil)
	db := harness.OpenSQL(t, b.url, b.token)
	harness.Exec(t, db, `UPDATE sys_organization SET security_policy = '{"accessControl":{"ipWhitelist":["192.0.2.0/24","2001:db8::/32"]}}' WHERE id = ?`, acmeID)
	harness.Eventually(t, soon, g.Expect(t.Context(), "acme.app.test", 403, ""))
	before := len(w.requests())
	for _, name := range []string{
		"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "X-Originating-IP", "Client-IP", "Via", "X-Forwarded",
	} {
		for _, value := range []string{"192.0.2.1", "192.0.2.1, 127.0.0.1", "for=192.0.2.1", `for="[2001:db8::1]"`, "2001:db8::1", "::ffff:192.0.2.1"} {
			attack{name: name + ": " + value, request: get("/", "Host: acme.app.test", name+": "+value), refused: []int{403}}.run(t, g)
		}
	}
	for name, preface := range map[string]string{
		"version 1": "PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\n",
		"version 2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x9c\x40\x00\x50",
	} {
		answers, err := pipeline(t.Context(), g.Address, preface+get("/", "Host: acme.app.test"))
		if err != nil {
			t.Errorf("PROXY %s: %v", name, err)
		}
		for _, answer := range answers {
			if answer.Status < 400 || answer.Status > 499 {
				t.Errorf("PROXY %s: status %d", name, answer.Status)
			}
		}
	}
	if got := w.requests()[before:]; len(got) != 0 {
		t.Errorf("the upstream saw %v", got)
	}
	// Nor is the upstream told another address than that of the connection.
	e := g.Send(t, harness.Ask{Host: "globex.app.test", Header: map[string]string{"X-Forwarded-For": "192.0.2.1"}}).Echo(t)
	if got := e.Values("X-Forwarded-For"); len(got) != 1 || net.ParseIP(got[0]) == nil || got[0] != "127.0.0.1" {
		t.Errorf("the upstream was told address %q", got)
	}
}
