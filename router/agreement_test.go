package router

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// speaker is a source together with a way to make a request say a tenant to it.
type speaker struct {
	name          string
	authenticated bool
	host          bool
	source        func() Source
	say           func(r *Request, tenant string, source Source)
}

// speakers are all built-in sources that a request can speak through.
func speakers(t *testing.T, w *world) []speaker {
	header := func(r *Request, tenant string, _ Source) { r.HTTP.Header.Set(DefaultTenantHeader, tenant) }
	return []speaker{
		{
			"subdomain", false, true,
			func() Source { return must(NewSubdomain([]string{"{tenant}.app.example.com"}, nil)) },
			func(r *Request, tenant string, _ Source) { r.HTTP.Host = tenant + ".app.example.com" },
		},
		{
			"domain", false, true,
			func() Source { return must(NewDomain()) },
			func(r *Request, tenant string, _ Source) {
				r.HTTP.Host = map[string]string{"acme": "app.acme.test"}[tenant]
				if r.HTTP.Host == "" {
					r.HTTP.Host = tenant + ".test"
				}
			},
		},
		{
			"path", false, false,
			func() Source { return must(NewPath("/t/{tenant}", false)) },
			func(r *Request, tenant string, _ Source) { r.HTTP.URL.Path = "/t/" + tenant + "/x" },
		},
		{"header", false, false, func() Source { return must(NewHeader("", "", false)) }, header},
		{
			"query", false, false,
			func() Source { return must(NewQuery("", "", false)) },
			func(r *Request, tenant string, _ Source) { r.HTTP.URL.RawQuery = "tenant=" + tenant },
		},
		{
			"placeholder", false, false,
			func() Source { return must(NewPlaceholder("org", "")) },
			func(r *Request, tenant string, _ Source) { r.Placeholders = values{"org": tenant} },
		},
		{
			"jwt", true, false,
			func() Source {
				s, err := NewJWT(jwtOptions(t, credential.ClaimNames{}))
				return must(s, err)
			},
			func(r *Request, tenant string, _ Source) {
				r.HTTP.Header.Add("Authorization", "Bearer "+token(t, "tenant_id", tenant, "sub", "jwt of "+tenant, "roles", []string{tenant}))
			},
		},
		{
			"session", true, false,
			func() Source { return sessions(t, SessionOptions{AnyUser: true}) },
			func(r *Request, tenant string, _ Source) {
				c := registry.Credential{User: "session of " + tenant, NamesTenant: true}
				if ref := sessionOf(tenant); tenant == "nobody" {
					w.nowhere[ref] = &registry.NotFoundError{Credential: &c}
				} else {
					w.credential(ref, tenant, "", c)
				}
				r.HTTP.Header.Set("Cookie", cookie(tenant))
			},
		},
		{
			"api_key", true, false,
			func() Source { return apiKeys(t, false) },
			func(r *Request, tenant string, _ Source) {
				key, ref := apiKey(t, "production")
				if tenant != "nobody" {
					w.credential(ref, tenant, "production", registry.Credential{
						User: "api_key of " + tenant, NamesTenant: true, NamesEnvironment: true,
					})
					w.member("api_key of "+tenant, tenant, "production", registry.RoleUser)
				}
				r.HTTP.Header.Set(credential.DefaultKeyHeader, key)
			},
		},
	}
}

// TestPairs keeps the promise of each Agreement for every ordered pair of sources: both for the same tenant, each for
// another, each for another of which one is unknown. The expectation is stated anew here, without tenants' details.
func TestPairs(t *testing.T) {
	w := newWorld()
	all := speakers(t, w)
	for i, a := range all {
		for j, b := range all {
			if i == j || a.host && b.host {
				continue
			}
			for mode := AgreementRequired; mode <= AgreementFirst; mode++ {
				for _, said := range [][2]string{{"acme", "acme"}, {"acme", "globex"}, {"globex", "acme"}, {"acme", "nobody"}} {
					name := fmt.Sprintf("%s: %s says %s, %s says %s", mode, a.name, said[0], b.name, said[1])
					if said[1] == "nobody" && b.authenticated {
						continue // who decides is unknown: TestUnknown
					}
					sa, sb := a.source(), b.source()
					rt, err := New(Config{Sources: []Source{sa, sb}, Resolver: w, Agreement: mode})
					if err != nil {
						t.Fatal(err)
					}
					r := request(t, "gateway.internal", "/")
					a.say(r, said[0], sa)
					b.say(r, said[1], sb)
					d, err := rt.Route(context.Background(), r)

					decides, tenant := a, said[0]
					if b.authenticated && !a.authenticated {
						decides, tenant = b, said[1]
					}
					want := tenant + "/production"
					soft := said[1] == "nobody" && b.name == "domain" // an unknown domain is nothing
					mustAgree := mode == AgreementRequired || mode == AgreementAuthenticated && a.authenticated && b.authenticated
					if said[0] != said[1] && mustAgree && !soft {
						want = CodeTenantConflict
					}
					if got := outcome(d, err); got != want {
						t.Errorf("%s: %s, want %s", name, got, want)
						continue
					}
					if err != nil {
						continue
					}
					user := ""
					if decides.authenticated {
						user = decides.name + " of " + tenant
					}
					if d.Source != decides.name || d.Authenticated != decides.authenticated || d.User != user {
						t.Errorf("%s: decided by %s (%t) for user %q, want %s (%t) for %q",
							name, d.Source, d.Authenticated, d.User, decides.name, decides.authenticated, user)
					}
				}
			}
		}
	}
}

// TestEnvironments keeps the promise that an environment which any agreeing source names applies, and that two
// different ones are a conflict where agreement is demanded.
func TestEnvironments(t *testing.T) {
	w := newWorld()
	key := w.key("devkey", "acme", "dev")
	named := func(name string, ref registry.Reference) *fake {
		return &fake{name: name, yield: Yield{Reference: ref}}
	}
	proven := func(name string, ref registry.Reference) *fake {
		return &fake{name: name, yield: Yield{Reference: ref, Authenticated: true}}
	}
	only := func(env string) registry.Reference { return registry.Reference{Environment: env} }
	envID := func(id string) registry.Reference {
		return registry.Reference{Kind: registry.KindEnvironmentID, Key: id}
	}
	byID := func(env string) registry.Reference {
		return registry.Reference{Kind: registry.KindTenantID, Key: acmeID, Environment: env}
	}
	host := func(h string) *fakeHost {
		return &fakeHost{fake{name: "domain", yield: Yield{Reference: registry.Reference{Kind: registry.KindHost, Key: h}, Soft: true}}}
	}
	softly := func(ref registry.Reference) *fake {
		return &fake{name: "guest", yield: Yield{Reference: ref, Soft: true}}
	}
	// A second slug that the registry still knows, as after a tenant was renamed.
	w.byRef[slug("acme-old", "")], w.known[slug("acme-old", "")] = w.byRef[slug("acme", "")], w.known[slug("acme", "")]
	fallback := func(tenant, env string) Source { return must(NewDefault(tenant, env)) }
	for _, c := range []struct {
		name                           string
		sources                        []Source
		required, authenticated, first string
	}{
		{"named by the winner", []Source{named("a", slug("acme", "dev")), named("b", slug("acme", ""))}, "acme/dev", "acme/dev", "acme/dev"},
		{"named by the other", []Source{named("a", slug("acme", "")), named("b", slug("acme", "dev"))}, "acme/dev", "acme/dev", "acme/dev"},
		{"the default one, named by the other", []Source{named("a", slug("acme", "")), named("b", slug("acme", "production"))}, "acme/production", "acme/production", "acme/production"},
		{"named alone", []Source{named("a", slug("acme", "")), named("b", only("dev"))}, "acme/dev", "acme/dev", "acme/dev"},
		{"named alone before", []Source{named("a", only("dev")), named("b", slug("acme", ""))}, "acme/dev", "acme/dev", "acme/dev"},
		{"named alone by id", []Source{named("a", slug("acme", "")), named("b", envID(acmeDevID))}, "acme/dev", "acme/dev", "acme/dev"},
		{"slug and id of the same", []Source{named("a", slug("acme", "dev")), named("b", byID(acmeDevID))}, "acme/dev", "acme/dev", "acme/dev"},
		{"id by the other", []Source{named("a", slug("acme", "")), named("b", byID(acmeDevID))}, "acme/dev", "acme/dev", "acme/dev"},
		{"two different", []Source{named("a", slug("acme", "dev")), named("b", slug("acme", "production"))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"two different, the winner names none", []Source{named("a", slug("acme", "")), named("b", only("dev")), named("c", only("production"))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"two different, with tenants", []Source{named("a", slug("acme", "")), named("b", slug("acme", "production")), named("c", slug("acme", "dev"))}, CodeTenantConflict, "acme/production", "acme/production"},
		{"different ids", []Source{named("a", envID(acmeDevID)), named("b", envID(acmeProdID))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"the other tenant's environment id", []Source{named("a", slug("acme", "")), named("b", envID(globexProdID))}, CodeTenantConflict, "acme/production", "acme/production"},
		{"unknown", []Source{named("a", slug("acme", "qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"unknown alone", []Source{named("a", slug("acme", "")), named("b", only("qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"unknown by the other", []Source{named("a", slug("acme", "")), named("b", slug("acme", "qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"unknown by the other, by id", []Source{named("a", slug("acme", "")), named("b", byID("qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"no tenant at all", []Source{named("a", only("dev"))}, CodeTenantRequired, CodeTenantRequired, CodeTenantRequired},
		{"a domain has one", []Source{host("dev.acme.test"), named("b", only("production"))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"a domain has the same", []Source{host("dev.acme.test"), named("b", only("dev"))}, "acme/dev", "acme/dev", "acme/dev"},
		{"a domain lends its own", []Source{named("a", slug("acme", "")), host("dev.acme.test")}, "acme/dev", "acme/dev", "acme/dev"},
		{"a key is for one", []Source{named("a", slug("acme", "production")), proven("k", key)}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"a key goes before", []Source{named("a", slug("acme", "")), proven("k", key)}, "acme/dev", "acme/dev", "acme/dev"},
		{"authenticated first", []Source{proven("j", slug("acme", "")), named("a", only("production")), proven("e", only("dev"))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"token with tenant, header with environment", []Source{named("h", only("dev")), proven("j", slug("acme", ""))}, "acme/dev", "acme/dev", "acme/dev"},
		{"token with another", []Source{named("h", slug("acme", "dev")), proven("j", slug("acme", "production"))}, CodeTenantConflict, "acme/production", "acme/production"},
		{"tokens with different ones", []Source{proven("j", slug("acme", "dev")), proven("k", slug("acme", "production"))}, CodeTenantConflict, CodeTenantConflict, "acme/dev"},
		{"other tenant's is not lent", []Source{named("a", slug("acme", "")), named("b", slug("globex", "production"))}, CodeTenantConflict, "acme/production", "acme/production"},
		{"unknown tenant's is not lent", []Source{named("a", slug("acme", "")), named("b", slug("nobody", "dev"))}, CodeTenantConflict, "acme/production", "acme/production"},
		{"lent by token before header", []Source{proven("j", slug("acme", "")), named("a", slug("acme", "production")), proven("k", slug("acme", "dev"))}, CodeTenantConflict, "acme/dev", "acme/dev"},
		{"another slug of the same", []Source{named("a", slug("acme", "")), named("b", slug("acme-old", ""))}, "acme/production", "acme/production", "acme/production"},
		{"unknown by another slug", []Source{named("a", slug("acme", "")), named("b", slug("acme-old", "qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"soft, lent", []Source{softly(slug("acme", "")), named("b", only("dev"))}, "acme/dev", "acme/dev", "acme/dev"},
		{"soft, unknown in a known tenant", []Source{softly(slug("acme", "qa"))}, CodeEnvironmentNotFound, CodeEnvironmentNotFound, CodeEnvironmentNotFound},
		{"soft, unknown", []Source{softly(slug("nobody", "qa"))}, CodeTenantNotFound, CodeTenantNotFound, CodeTenantNotFound},
		{"default", []Source{fallback("acme", "")}, "acme/production", "acme/production", "acme/production"},
		{"default with its own", []Source{fallback("acme", "dev")}, "acme/dev", "acme/dev", "acme/dev"},
		{"default gives way", []Source{named("a", slug("globex", "")), fallback("acme", "dev")}, "globex/production", "globex/production", "globex/production"},
		{"default gives way, whatever the order", []Source{fallback("acme", "dev"), named("a", slug("globex", ""))}, "globex/production", "globex/production", "globex/production"},
		{"default's environment gives way", []Source{named("a", only("dev")), fallback("acme", "production")}, "acme/dev", "acme/dev", "acme/dev"},
		{"default after an unknown domain", []Source{host("nobody.test"), fallback("acme", "")}, "acme/production", "acme/production", "acme/production"},
		{"two defaults", []Source{fallback("acme", ""), fallback("globex", "")}, "acme/production", "acme/production", "acme/production"},
	} {
		for mode, want := range map[Agreement]string{
			AgreementRequired: c.required, AgreementAuthenticated: c.authenticated, AgreementFirst: c.first,
		} {
			rt, err := New(Config{Sources: c.sources, Resolver: w, Agreement: mode})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(rt.Route(context.Background(), request(t, "h.internal", "/"))); got != want {
				t.Errorf("%s, %s: %s, want %s", c.name, mode, got, want)
			}
		}
	}
}

// TestChangeInBetween keeps the promise that a slug which changes hands between two questions of one request leads to
// neither tenant.
func TestChangeInBetween(t *testing.T) {
	w := newWorld()
	w.fail = func(ref registry.Reference) error {
		if ref == slug("acme", "") {
			w.byRef[slug("acme", "dev")] = w.byRef[slug("globex", "")] // from the next question on
		}
		return nil
	}
	rt := newRouter(t, w, says("acme"), &fake{name: "path", yield: Yield{Reference: slug("acme", "dev")}})
	if got := outcome(rt.Route(context.Background(), request(t, "", "/"))); got != CodeTenantConflict {
		t.Error(got)
	}
}

// TestHostSources keeps the promise that the first host source with something to say speaks for the host name.
func TestHostSources(t *testing.T) {
	w := newWorld()
	// A domain inside of the subdomains' zone, of another tenant than its first label says.
	w.byRef[registry.Reference{Kind: registry.KindHost, Key: "acme.app.example.com"}] = w.byRef[slug("globex", "")]
	subdomain := must(NewSubdomain([]string{"{tenant}.app.example.com"}, []string{"www"}))
	domain := must(NewDomain())
	for _, c := range []struct {
		name    string
		sources []Source
		host    string
		want    string
		source  string
	}{
		{"subdomain first", []Source{subdomain, domain}, "acme.app.example.com", "acme/production", "subdomain"},
		{"domain first", []Source{domain, subdomain}, "acme.app.example.com", "globex/production", "domain"},
		{"domain first, unknown", []Source{domain, subdomain}, "initech.app.example.com", "initech/production", "subdomain"},
		{"own domain", []Source{subdomain, domain}, "app.acme.test:8080", "acme/production", "domain"},
		{"reserved", []Source{subdomain, domain}, "www.app.example.com", CodeTenantNotFound, ""},
		{"unknown domain", []Source{subdomain, domain}, "nobody.test", CodeTenantNotFound, ""},
		{"unknown domain beside a header", []Source{subdomain, domain, says("acme")}, "nobody.test", "acme/production", "header"},
		{"known domain beside a header", []Source{subdomain, domain, says("acme")}, "globex.test", CodeTenantConflict, ""},
		{"malformed label", []Source{subdomain, domain}, "a--b.app.example.com", CodeTenantInvalid, ""},
		{"no domain", []Source{subdomain, domain}, "localhost", CodeTenantRequired, ""},
		{"no host", []Source{subdomain, domain}, "", CodeTenantRequired, ""},
	} {
		d, err := newRouter(t, w, c.sources...).Route(context.Background(), request(t, c.host, "/"))
		if got := outcome(d, err); got != c.want || d.Source != c.source {
			t.Errorf("%s: %s by %q, want %s by %q", c.name, got, d.Source, c.want, c.source)
		}
	}
	// What a subdomain source has settled costs no look-up of the domain.
	w.asked = nil
	if _, err := newRouter(t, w, subdomain, domain).Route(context.Background(), request(t, "acme.app.example.com", "/")); err != nil || len(w.asked) != 1 {
		t.Errorf("%v with %d questions: %v", err, len(w.asked), w.asked)
	}
}

// TestUnknown keeps the promise that only the source that decides can make a request's tenant unknown: another that
// names an unknown one disagrees, so that nobody learns from it which tenants exist.
func TestUnknown(t *testing.T) {
	w := newWorld()
	for _, c := range []struct {
		sources                        []Source
		required, authenticated, first string
	}{
		{[]Source{says("nobody")}, CodeTenantNotFound, CodeTenantNotFound, CodeTenantNotFound},
		{[]Source{says("nobody"), says("acme")}, CodeTenantNotFound, CodeTenantNotFound, CodeTenantNotFound},
		{[]Source{says("acme"), says("nobody")}, CodeTenantConflict, "acme/production", "acme/production"},
		{[]Source{says("acme"), proves("nobody")}, CodeTenantNotFound, CodeTenantNotFound, CodeTenantNotFound},
		{[]Source{proves("acme"), proves("nobody")}, CodeTenantConflict, CodeTenantConflict, "acme/production"},
		{[]Source{must(NewDefault("nobody", ""))}, CodeTenantNotFound, CodeTenantNotFound, CodeTenantNotFound},
	} {
		for mode, want := range map[Agreement]string{
			AgreementRequired: c.required, AgreementAuthenticated: c.authenticated, AgreementFirst: c.first,
		} {
			rt, err := New(Config{Sources: c.sources, Resolver: w, Agreement: mode})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(rt.Route(context.Background(), request(t, "", "/"))); got != want {
				t.Errorf("%v, %s: %s, want %s", c.sources, mode, got, want)
			}
		}
	}
}

// TestRequireAuthenticated keeps the promise that only an authenticated source which names the tenant lets a request
// in, and that without one the registry is not even asked.
func TestRequireAuthenticated(t *testing.T) {
	w := newWorld()
	signedIn := &fake{name: "session", yield: Yield{Authenticated: true, User: "u1", Roles: []string{"root"}}}
	for _, c := range []struct {
		sources []Source
		want    string
	}{
		{[]Source{proves("acme")}, "acme/production"},
		{[]Source{says("acme"), proves("acme")}, "acme/production"},
		{[]Source{says("acme")}, CodeCredentialsInvalid},
		{[]Source{says("nobody")}, CodeCredentialsInvalid},
		{[]Source{&fake{name: "nothing"}}, CodeCredentialsInvalid},
		{[]Source{says("acme"), signedIn}, CodeCredentialsInvalid},
		{[]Source{&fake{name: "odd", yield: Yield{Reference: slug("acme", ""), Authenticated: true, Fallback: true}}}, CodeCredentialsInvalid},
	} {
		w.asked = nil
		rt, err := New(Config{Sources: c.sources, Resolver: w, RequireAuthenticated: true})
		if err != nil {
			t.Fatal(err)
		}
		d, err := rt.Route(context.Background(), request(t, "", "/"))
		if got := outcome(d, err); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
		var refusal *Refusal
		if errors.As(err, &refusal) && (refusal.Challenge == "" || len(w.asked) != 0) {
			t.Errorf("challenge %q after %d questions", refusal.Challenge, len(w.asked))
		}
	}
}

// TestUser keeps the promise that a user comes only from proof, and roles only from proof for this very tenant.
func TestUser(t *testing.T) {
	w := newWorld()
	key := &fake{name: "api_key", yield: Yield{Reference: slug("acme", ""), Authenticated: true}}
	signedIn := &fake{name: "session", yield: Yield{Authenticated: true, User: "u2", Roles: []string{"root"}}}
	liar := &fake{name: "header", yield: Yield{Reference: slug("acme", ""), User: "u3", Roles: []string{"root"}}}
	elsewhere := &fake{name: "jwt", yield: Yield{Reference: slug("globex", ""), Authenticated: true, User: "u4", Roles: []string{"env_admin"}}}
	for _, c := range []struct {
		name    string
		mode    Agreement
		sources []Source
		user    string
		roles   int
	}{
		{"of the winner", AgreementRequired, []Source{signedIn, proves("acme")}, "u1", 1},
		{"of another that agrees", AgreementRequired, []Source{key, proves("acme")}, "u1", 1},
		{"of one that names no tenant", AgreementRequired, []Source{says("acme"), signedIn}, "u2", 0},
		{"of nobody with proof", AgreementRequired, []Source{liar}, "", 0},
		{"not of one that is ignored", AgreementFirst, []Source{key, elsewhere}, "", 0},
	} {
		rt, err := New(Config{Sources: c.sources, Resolver: w, Agreement: c.mode})
		if err != nil {
			t.Fatal(err)
		}
		d, err := rt.Route(context.Background(), request(t, "", "/"))
		if err != nil || d.User != c.user || len(d.Roles) != c.roles {
			t.Errorf("%s: %q with %v, %v; want %q with %d roles", c.name, d.User, d.Roles, err, c.user, c.roles)
		}
	}
}

// TestConflictCause keeps the promise that the log says which sources disagree and the client does not learn more.
func TestConflictCause(t *testing.T) {
	_, err := newRouter(t, newWorld(), says("acme"), proves("globex")).Route(context.Background(), request(t, "", "/"))
	var r *Refusal
	if !errors.As(err, &r) || r.Cause == nil || r.Cause.Error() != "the sources jwt and header disagree" || r.Detail != refuseTenantConflict.Detail {
		t.Errorf("%+v", r)
	}
}

// TestParseAgreement keeps the words of the configuration.
func TestParseAgreement(t *testing.T) {
	for _, a := range []Agreement{AgreementRequired, AgreementAuthenticated, AgreementFirst} {
		if got, err := ParseAgreement(a.String()); err != nil || got != a {
			t.Errorf("%s: %v, %v", a, got, err)
		}
	}
	if a, err := ParseAgreement(""); err != nil || a != AgreementRequired {
		t.Errorf("default: %v, %v", a, err)
	}
	if _, err := ParseAgreement("some"); err == nil {
		t.Error("an unknown word is accepted")
	}
}
