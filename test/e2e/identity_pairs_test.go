package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/test/harness"
)

// voice is a source together with a way to make a request name a tenant to it. acme is named with the environment that
// is its default one, so that whoever names none agrees.
type voice struct {
	name string
	// proof says that the source is an authenticated one, host that it reads the host name.
	proof, host bool
	// directive configures the source.
	directive string
	// say makes the request name the tenant.
	say func(t *testing.T, ask *harness.Ask, tenant string)
}

// voices are all built-in sources that a request can name a tenant to.
func voices(p people) []voice {
	header := func(name string, value func(tenant string) string) func(*testing.T, *harness.Ask, string) {
		return func(_ *testing.T, ask *harness.Ask, tenant string) { ask.Header[name] = value(tenant) }
	}
	same := func(tenant string) string { return tenant }
	environments := map[string]string{"acme": acmeProdID, "globex": globexProd}
	return []voice{
		{"subdomain", false, true, "identify subdomain {tenant}.app.test", func(_ *testing.T, ask *harness.Ask, tenant string) {
			ask.Host = tenant + ".app.test"
		}},
		{"domain", false, true, "identify domain", func(_ *testing.T, ask *harness.Ask, tenant string) {
			ask.Host = "app." + tenant + ".test"
		}},
		{"path", false, false, "identify path /t/{tenant}", func(_ *testing.T, ask *harness.Ask, tenant string) {
			ask.Path = strings.Replace(ask.Path, "/", "/t/"+tenant+"/", 1)
		}},
		{"header", false, false, "identify header X-Tenant-ID", header("X-Tenant-ID", same)},
		{"query", false, false, "identify query tenant", func(_ *testing.T, ask *harness.Ask, tenant string) {
			ask.Path += "?tenant=" + tenant
		}},
		{"placeholder", false, false, "identify placeholder {http.request.header.X-Organisation}", header("X-Organisation", same)},
		{"jwt", true, false, "identify jwt {\nsecret {env.JWT_SECRET}\ntenant_claim organizationId\n}", func(t *testing.T, ask *harness.Ask, tenant string) {
			ask.Header["Authorization"] = "Bearer " + tokenFor(t, jwt.SigningMethodHS256, []byte(identityTokenSecret), tenant, "sub", "jwt")
		}},
		{"session", true, false, "identify session {\nsecret {env.AUTH_SECRET}\n}", func(t *testing.T, ask *harness.Ask, tenant string) {
			ask.Header["Cookie"] = p.session(t, "session", row{"active_environment_id": environments[tenant]})
		}},
		{"api_key", true, false, "identify api_key", func(t *testing.T, ask *harness.Ask, tenant string) {
			ask.Header["X-API-Key"] = p.key(t, environments[tenant], row{"user_id": "api_key"})
		}},
	}
}

// pairWant is what a pair of sources has to come to, stated anew: who decides, for which tenant, or a refusal.
type pairWant struct{ source, tenant, user, code string }

// wanted says what holds for two sources, of which the first stands first in the configuration.
func wanted(agreement string, a, b voice, saysA, saysB string) pairWant {
	decider, tenant := a, saysA
	if b.proof && !a.proof {
		decider, tenant = b, saysB // proof outranks what is merely named, wherever it stands
	}
	if saysA != saysB && (agreement == "required" || agreement == "authenticated" && a.proof && b.proof) {
		return pairWant{code: "tenant_conflict"}
	}
	user := ""
	if decider.proof {
		user = decider.name
	}
	return pairWant{source: decider.name, tenant: tenant, user: user}
}

// Promise: each source alone, and each of all ordered pairs of sources, in agreement and in conflict, comes to what README
// says, under each kind of agreement; the upstream that answers is that of the tenant that was decided on, and the user is
// the one that was proven. A default only speaks where nobody else does, wherever it stands.
func TestEveryPairOfSources(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	d.Tenants[1].Environments[0].Domains = []string{"app.globex.test"}
	b.load(t, d)
	p := newPeople(t, b)
	for _, user := range []string{"session", "api_key"} {
		p.member(t, acmeProdID, user, "env_user")
		p.member(t, globexProd, user, "env_user")
	}
	all := voices(p)
	agreements := []string{"required", "authenticated", "first"}
	handlers := map[string]string{}
	for i, a := range all {
		handlers["alone-"+a.name] = a.directive
		handlers["default-"+a.name] = a.directive + "\nidentify default globex"
		for j, b := range all {
			if i == j {
				continue
			}
			for _, agreement := range agreements {
				handlers[agreement+"-"+a.name+"-"+b.name] = a.directive + "\n" + b.directive + "\nagreement " + agreement
			}
		}
	}
	handlers["alone-default"] = "identify default acme"
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Env: []string{"JWT_SECRET=" + identityTokenSecret, "AUTH_SECRET=" + identitySessionSecret},
		Site: "header >X-Decided-By {tenant.source}\n" + sites(handlers),
	})
	check := func(name string, ask harness.Ask, site string, want pairWant) {
		t.Helper()
		answer := g.Send(t, onSite(site, ask))
		if want.code != "" {
			if code := answer.Problem(t).Code; code != want.code {
				t.Errorf("%s: %s, want %s", name, code, want.code)
			}
			return
		}
		if answer.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
			return
		}
		e := answer.Echo(t)
		got := pairWant{source: answer.Header.Get("X-Decided-By"), tenant: strings.Join(e.Values("X-Tenant-Slug"), "+"), user: strings.Join(e.Values("X-User-ID"), "+")}
		if got != want || !strings.HasPrefix(e.Upstream, want.tenant) {
			t.Errorf("%s: upstream %s, %+v, want %+v", name, e.Upstream, got, want)
		}
	}
	empty := func() harness.Ask {
		return harness.Ask{Host: "gateway.test", Path: "/x", Header: map[string]string{"X-User-ID": "root"}}
	}
	check("nobody says anything, default", empty(), "alone-default", pairWant{source: "default", tenant: "acme"})
	pairs := 0
	for i, a := range all {
		user := ""
		if a.proof {
			user = a.name
		}
		ask := empty()
		a.say(t, &ask, "acme")
		check(a.name+" alone", ask, "alone-"+a.name, pairWant{source: a.name, tenant: "acme", user: user})
		check(a.name+" with a default", ask, "default-"+a.name, pairWant{source: a.name, tenant: "acme", user: user})
		silent := pairWant{code: "tenant_required"}
		if a.name == "domain" {
			silent = pairWant{code: "tenant_not_found"} // gateway.test might be a domain, and is none
		}
		check(a.name+" says nothing", empty(), "alone-"+a.name, silent)
		check(a.name+" says nothing, with a default", empty(), "default-"+a.name, pairWant{source: "default", tenant: "globex"})
		for j, b := range all {
			if i == j || a.host && b.host {
				continue // one request has one host name
			}
			for _, said := range [][2]string{{"acme", "acme"}, {"acme", "globex"}, {"globex", "acme"}, {"globex", "globex"}} {
				ask := empty()
				a.say(t, &ask, said[0])
				b.say(t, &ask, said[1])
				for _, agreement := range agreements {
					name := fmt.Sprintf("%s: %s says %s, %s says %s", agreement, a.name, said[0], b.name, said[1])
					check(name, ask, agreement+"-"+a.name+"-"+b.name, wanted(agreement, a, b, said[0], said[1]))
					pairs++
				}
			}
		}
	}
	for _, order := range []string{"subdomain-domain", "domain-subdomain"} {
		first, _, _ := strings.Cut(order, "-")
		for _, agreement := range agreements {
			for _, ask := range []harness.Ask{{Host: "acme.app.test"}, {Host: "app.acme.test"}} {
				ask.Header = maps.Clone(empty().Header)
				source := map[string]string{"acme.app.test": "subdomain", "app.acme.test": "domain"}[ask.Host]
				check(agreement+": "+order+" with "+ask.Host+", "+first+" first", ask, agreement+"-"+order, pairWant{source: source, tenant: "acme"})
			}
		}
	}
	if want := (9*8 - 2) * 4 * 3; pairs != want {
		t.Errorf("%d pairs, want %d", pairs, want)
	}
}
