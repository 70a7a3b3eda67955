package e2e_test

import (
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// get is the head of a GET request.
func get(target string, fields ...string) string {
	return lines(append([]string{"GET " + target + " HTTP/1.1"}, fields...)...)
}

// Promise: the name that decides is the one that HTTP says is the request's (RFC 9112 §3.2.2: that of an absolute target
// before Host), in whatever spelling; what could be read as two names is refused; and the upstream is told the same name
// that has decided.
func TestAttackHost(t *testing.T) {
	t.Parallel()
	g, w, _ := startAttacked(t, "identify subdomain {tenant}.app.test\nidentify domain", nil)
	for _, a := range []attack{
		{name: "plain", request: get("/", "Host: acme.app.test"), tenant: acmeID},
		{name: "port", request: get("/", "Host: acme.app.test:8443"), tenant: acmeID},
		{name: "port of another name", request: get("/", "Host: acme.app.test:globex.app.test"), refused: refusedBy},
		{name: "port zero", request: get("/", "Host: acme.app.test:0"), refused: refusedBy},
		{name: "trailing dot", request: get("/", "Host: acme.app.test."), tenant: acmeID},
		{name: "two trailing dots", request: get("/", "Host: acme.app.test.."), refused: refusedBy},
		{name: "upper case", request: get("/", "Host: ACME.App.TEST"), tenant: acmeID},
		{name: "full width letters", request: get("/", "Host: \uff41\uff43\uff4d\uff45.app.test"), refused: append([]int{200}, refusedBy...)},
		{name: "look-alike letters", request: get("/", "Host: \u0430cme.app.test"), refused: refusedBy},
		{name: "Kelvin sign", request: get("/", "Host: \u212a.app.test"), refused: refusedBy},
		{name: "soft hyphen", request: get("/", "Host: ac\u00adme.app.test"), refused: append([]int{200}, refusedBy...)},
		{name: "ideographic full stop", request: get("/", "Host: globex\u3002acme.app.test"), refused: refusedBy},
		{name: "absolute target", request: get("http://acme.app.test/", "Host: acme.app.test"), tenant: acmeID},
		{name: "absolute target against Host", request: get("http://globex.app.test/", "Host: acme.app.test"), tenant: globexID},
		{name: "absolute target with user information", request: get("http://acme.app.test@globex.app.test/", "Host: acme.app.test"), refused: append([]int{200}, refusedBy...)},
		{name: "absolute target without Host", request: get("http://globex.app.test/"), refused: refusedBy},
		{name: "absolute target of https", request: get("https://globex.app.test/", "Host: acme.app.test"), tenant: globexID},
		{name: "absolute target with an empty host", request: get("http:///", "Host: acme.app.test"), refused: append([]int{200}, refusedBy...)},
		{name: "target of two slashes", request: get("//globex.app.test/", "Host: acme.app.test"), tenant: acmeID},
		{name: "two Hosts", request: get("/", "Host: acme.app.test", "Host: globex.app.test"), refused: refusedBy},
		{name: "two equal Hosts", request: get("/", "Host: acme.app.test", "Host: acme.app.test"), refused: refusedBy},
		{name: "a list of Hosts", request: get("/", "Host: acme.app.test, globex.app.test"), refused: refusedBy},
		{name: "a folded Host", request: get("/", "Host: acme.app.test", " globex.app.test"), refused: refusedBy},
		{name: "Host with a blank before the colon", request: get("/", "Host: acme.app.test", "Host : globex.app.test"), refused: refusedBy},
		{name: "no Host", request: get("/"), refused: refusedBy},
		{name: "an empty Host", request: get("/", "Host:"), refused: refusedBy},
		{name: "user information in Host", request: get("/", "Host: globex.app.test@acme.app.test"), refused: refusedBy},
		{name: "IPv6 literal", request: get("/", "Host: [::1]"), refused: refusedBy},
		{name: "IPv6 literal with a zone", request: get("/", "Host: [fe80::1%25acme.app.test]"), refused: refusedBy},
		{name: "IPv6 literal before a name", request: get("/", "Host: [::1]acme.app.test"), refused: refusedBy},
		{name: "percent escapes", request: get("/", "Host: %61cme.app.test"), refused: refusedBy},
		{name: "underscore", request: get("/", "Host: acme_.app.test"), refused: refusedBy},
		{name: "X-Forwarded-Host", request: get("/", "Host: acme.app.test", "X-Forwarded-Host: globex.app.test"), tenant: acmeID},
		{name: "Forwarded", request: get("/", "Host: acme.app.test", "Forwarded: host=globex.app.test"), tenant: acmeID},
		{name: "X-Original-Host and the like", request: get("/", "Host: acme.app.test", "X-Original-Host: globex.app.test", "X-Host: globex.app.test"), tenant: acmeID},
		{name: "placeholder", request: get("/", "Host: {http.request.header.X-Other}", "X-Other: acme.app.test"), refused: refusedBy},
	} {
		a.run(t, g)
	}
	// What was served after all was served under the name that the upstream was told.
	for _, e := range w.requests() {
		host := strings.ToLower(e.Host)
		want := acmeID
		if strings.Contains(host, "globex") {
			want = globexID
		}
		if got := e.Values("X-Tenant-ID"); len(got) != 1 || got[0] != want {
			t.Errorf("the upstream was told host %q and tenant %q", e.Host, got)
		}
		if got := e.Values("X-Forwarded-Host"); len(got) != 1 || got[0] != e.Host {
			t.Errorf("the upstream was told host %q and X-Forwarded-Host %q", e.Host, got)
		}
	}
}

// Promise: a path names one tenant to everybody who reads it, or nobody. What a server behind the gateway may resolve,
// decode or merge into another path is refused, and so an exempt path cannot be the way into one that is not.
func TestAttackPath(t *testing.T) {
	t.Parallel()
	g, w, _ := startAttacked(t, "identify path /t/{tenant} {\nstrip\n}\nexempt /open/*", nil)
	const host = "Host: any.test"
	long := strings.Repeat("%25", 100_000)
	rows := []attack{
		{name: "plain", request: get("/t/acme/x", host), tenant: acmeID},
		{name: "escaped letters", request: get("/t/%61cme/x", host), tenant: acmeID},
		{name: "escaped much", request: get("/t/acme/"+long, host), refused: refusedBy},
		{name: "upper case of the literal", request: get("/T/acme/x", host), refused: refusedBy},
	}
	for _, target := range []string{
		"/t/acme/../globex/x", "/t/acme/%2e%2e/globex/x", "/t/acme/.%2e/globex", "/t/acme/%252e%252e/globex", "/t/acme/..;/globex", "/t/acme/..;x=1/globex", "/t/acme/..\\globex",
		"/t/acme%2F..%2Fglobex", "/t/acme/..%2Fglobex", "/t/acme/..%5Cglobex", "/t/acme/..%255cglobex", "/x/../t/acme/", "/./t/acme", "/t/./acme", "/t/acme/.", "/t/acme/..",
		"//t/acme", "/t//acme", "/t/%2Facme", "/t%2Facme", "/t;x/acme", "/t/acme;globex/", "/t/acme%3Bglobex/", "/t/acme%00/", "/t/acme%00globex/", "/t/acme%0d%0aX-Tenant-ID:%20globex/",
		"/t/acme%C0%AF..%C0%AFglobex/", "/t/%C0%AE%C0%AE/globex", "/t/acme%c1%9cglobex/", "/t/acme%E0%80%AFglobex/", "/t/acme%uff0fglobex/", "/t/acme%u002fglobex", "/t/acme\\..\\globex",
		"/t/acme/%2F/evil.test/", "/t/acme/\\evil.test/", "/t/acme/%5Cevil.test", "/t/acme%2f", "/t/acme%20/", "/t/acme+/", "/t/acme%09/", "/t/acme%7f/", "/t/{tenant}/", "/t/acme%23/", "/t/acme%3F/",
		"/open/../t/acme/", "/open/%2e%2e/t/acme", "/open/..;/t/acme", "/open%2F..%2Ft/acme", "/open//../t/acme", "/open/..%5ct/acme", "/open/%252e%252e/t/acme",
	} {
		rows = append(rows, attack{name: target, request: get(target, host), refused: refusedBy})
	}
	for _, a := range rows {
		a.run(t, g)
	}
	for _, e := range w.requests() {
		if got := e.Values("X-Tenant-ID"); len(got) != 1 || got[0] != acmeID || strings.HasPrefix(e.URI, "//") || strings.Contains(e.URI, "globex") {
			t.Errorf("the upstream saw %q with tenant %q", e.URI, got)
		}
	}
	// What is left of a path that was stripped cannot be taken for another host's ("//evil.test" in a redirect).
	e := g.Get(t, "any.test", "/t/acme//evil.test/").Echo(t)
	if e.URI != "/evil.test/" {
		t.Errorf("the upstream saw %q", e.URI)
	}
}

// Promise: whatever names a tenant besides what decides is either agreed with or refused, also when the names are spelled
// so that the gateway and others might see different ones.
func TestAttackTwoNames(t *testing.T) {
	t.Parallel()
	g, _, _ := startAttacked(t, `identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify domain
		identify path /t/{tenant}/{environment}
		identify header X-Tenant-ID X-Environment-ID
		identify query tenant environment`, nil)
	const acme = "Host: acme.app.test"
	for _, a := range []attack{
		{name: "agreed", request: get("/t/acme/production/?tenant="+acmeID+"&environment="+acmeProdID, acme, "X-Tenant-ID: ACME", "X-Environment-ID: production"), tenant: acmeID},
		{name: "header", request: get("/", acme, "X-Tenant-ID: globex"), refused: []int{403}},
		{name: "header by id", request: get("/", acme, "X-Tenant-ID: "+globexID), refused: []int{403}},
		{name: "header by id in upper case", request: get("/", acme, "X-Tenant-ID: "+strings.ToUpper(globexID)), refused: []int{403}},
		{name: "header of a name that nobody has", request: get("/", acme, "X-Tenant-ID: nobody"), refused: []int{403}},
		{name: "two headers", request: get("/", acme, "X-Tenant-ID: acme", "X-Tenant-ID: globex"), refused: refusedBy},
		{name: "a list in a header", request: get("/", acme, "X-Tenant-ID: acme,globex"), refused: refusedBy},
		{name: "environment of another tenant", request: get("/", acme, "X-Environment-ID: "+globexProd), refused: []int{403, 404}},
		{name: "environment's id as a tenant", request: get("/", "Host: any.test", "X-Tenant-ID: "+globexProd), refused: []int{404}},
		{name: "tenant's id as an environment", request: get("/", "Host: any.test", "X-Environment-ID: "+globexID), refused: []int{404}},
		{name: "environment against the host", request: get("/", "Host: acme--dev.app.test", "X-Environment-ID: production"), refused: []int{403}},
		{name: "path", request: get("/t/globex/production/", acme), refused: []int{403}},
		{name: "query", request: get("/?tenant=globex", acme), refused: []int{403}},
		{name: "query twice", request: get("/?tenant=acme&tenant=globex", acme), refused: refusedBy},
		{name: "query in another case", request: get("/?Tenant=globex", acme), tenant: acmeID},
		{name: "query escaped", request: get("/?%74enant=globex", acme), refused: []int{403}},
		{name: "query behind a semicolon", request: get("/?a=1;tenant=globex", acme), refused: refusedBy},
		{name: "query with a plus", request: get("/?tenant=acme+", acme), refused: refusedBy},
		{name: "domain of another tenant's", request: get("/", "Host: app.acme.test", "X-Tenant-ID: globex"), refused: []int{403}},
		{name: "a fragment in the target", request: get("/#?tenant=globex", acme), refused: append([]int{200}, refusedBy...)},
	} {
		a.run(t, g)
	}
}

// Promise: text of a client is never evaluated as one of Caddy's placeholders.
func TestAttackPlaceholders(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	w := startWitness(t)
	b.load(t, witnessTenants(w))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Env: []string{"PLACEHOLDER_SECRET=hunter2"},
		Site: "tenant {\nidentify placeholder {http.request.header.X-Org}\nerrors pass\n}\nhandle_errors {\nrespond \"{tenant.error.code} {tenant.error.detail} {tenant.slug}\"\n}\nreverse_proxy {\ndynamic tenant\n}",
	})
	for _, value := range []string{"{env.PLACEHOLDER_SECRET}", "{http.request.header.X-Other}", "{tenant.slug}", "{{env}}", "acme{env.PLACEHOLDER_SECRET}"} {
		answer := g.Send(t, harness.Ask{Path: "/{env.PLACEHOLDER_SECRET}", Header: map[string]string{"X-Org": value, "X-Other": "acme"}})
		if answer.Status != 400 || strings.Contains(answer.Body, "hunter2") {
			t.Errorf("%q: status %d, %s", value, answer.Status, answer.Body)
		}
	}
	e := g.Send(t, harness.Ask{Path: "/{env.PLACEHOLDER_SECRET}?x={tenant.id}", Header: map[string]string{"X-Org": "acme"}}).Echo(t)
	if strings.Contains(e.URI, "hunter2") || strings.Contains(e.URI, acmeID) {
		t.Errorf("the upstream saw %s", e.URI)
	}
}
