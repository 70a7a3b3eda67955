package router

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

func host(name string) *fake {
	return &fake{name: "domain", yield: Yield{Reference: registry.Reference{Kind: registry.KindHost, Key: name}}}
}

func session(key string) *fake {
	return &fake{name: "session", yield: Yield{
		Reference: registry.Reference{Kind: registry.KindSession, Key: key}, Authenticated: true, User: "u1",
	}}
}

// member is a session whose user has to be a member.
func member(key string) *fake {
	s := session(key)
	s.yield.Member = true
	return s
}

// names is a source that names only an environment.
func names(environment string) *fake {
	return &fake{name: "header", yield: Yield{Reference: registry.Reference{Environment: environment}}}
}

// TestRecheck keeps the promise that what was admitted may go on exactly as long as nothing that led to it, and nothing
// that admitted it, has changed for the worse.
func TestRecheck(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	move := func(from registry.Reference, to registry.Reference) func(*world) {
		return func(w *world) { w.byRef[from] = w.byRef[to] }
	}
	remove := func(ref registry.Reference) func(*world) { return func(w *world) { delete(w.byRef, ref) } }
	set := func(slug string, change func(*registry.Resolved)) func(*world) {
		return func(w *world) { w.set(slug, change) }
	}
	tenantStatus := func(status registry.Status) func(*world) {
		return set("acme", func(r *registry.Resolved) { r.Tenant.Status = status })
	}
	domain := registry.Reference{Kind: registry.KindHost, Key: "app.acme.test"}
	sessionRef := registry.Reference{Kind: registry.KindSession, Key: hash}
	userOnly := registry.Reference{Kind: registry.KindSession, Key: "u"}
	inAcme := registry.Credential{User: "u1", NamesTenant: true, NamesEnvironment: true}
	membership := registry.Reference{Kind: registry.KindMember, Key: "u1", Environment: acmeProdID}
	for _, tt := range []struct {
		name      string
		agreement Agreement
		sources   []Source
		change    func(*world)
		want      string // a code, or "" when it goes on
	}{
		{"nothing changes", 0, []Source{says("acme")}, func(*world) {}, ""},
		{"another name", 0, []Source{says("acme")}, set("acme", func(r *registry.Resolved) { r.Tenant.Name = "Acme Inc" }), ""},
		{"another tenant is suspended", 0, []Source{says("acme")}, set("globex", func(r *registry.Resolved) { r.Tenant.Status = registry.StatusSuspended }), ""},
		{"suspended", 0, []Source{says("acme")}, tenantStatus(registry.StatusSuspended), CodeTenantSuspended},
		{"archived", 0, []Source{says("acme")}, tenantStatus(registry.StatusArchived), CodeTenantInactive},
		{"destroying", 0, []Source{says("acme")}, tenantStatus(registry.StatusDestroying), CodeTenantInactive},
		{"environment suspended", 0, []Source{host("app.acme.test")}, set("acme", func(r *registry.Resolved) { r.Environment.Status = registry.StatusSuspended }), CodeEnvironmentSuspended},
		{"subscription over", 0, []Source{says("acme")}, set("acme", func(r *registry.Resolved) { r.Tenant.SubscriptionExpiresAt = testNow }), CodeSubscriptionExpired},
		{"slug removed", 0, []Source{says("acme")}, remove(slug("acme", "")), CodeEnvironmentNotFound},
		{"slug given to another", 0, []Source{says("acme")}, move(slug("acme", ""), slug("globex", "")), CodeMisdirectedRequest},
		{"another default environment", 0, []Source{says("acme")}, move(slug("acme", ""), slug("acme", "dev")), CodeMisdirectedRequest},
		{"another default environment, where one is named", 0, []Source{says("acme"), host("dev.acme.test")}, move(slug("acme", ""), slug("acme", "dev")), ""},
		{"domain removed", 0, []Source{host("app.acme.test")}, remove(domain), CodeTenantNotFound},
		{"domain moved to another tenant", 0, []Source{host("app.acme.test")}, move(domain, slug("globex", "")), CodeMisdirectedRequest},
		{"domain moved to another environment", 0, []Source{host("app.acme.test")}, move(domain, slug("acme", "dev")), CodeMisdirectedRequest},
		{"the second of two names moved", 0, []Source{says("acme"), host("app.acme.test")}, move(domain, slug("globex", "")), CodeMisdirectedRequest},
		{"a name that was ignored moved", AgreementFirst, []Source{says("acme"), host("globex.test")}, move(registry.Reference{Kind: registry.KindHost, Key: "globex.test"}, slug("initech", "")), ""},
		{"session revoked", 0, []Source{session(hash)}, remove(sessionRef), CodeCredentialsInvalid},
		{"session of another tenant now", 0, []Source{session(hash)}, func(w *world) { w.credential(sessionRef, "globex", "", inAcme) }, CodeMisdirectedRequest},
		{"session expired", 0, []Source{session(hash)}, func(w *world) {
			over := inAcme
			over.ExpiresAt = testNow.Add(time.Hour)
			w.credential(sessionRef, "acme", "production", over)
		}, CodeCredentialsInvalid},
		{"session that says only who, revoked", 0, []Source{session("u"), host("app.acme.test")}, func(w *world) { delete(w.nowhere, userOnly) }, CodeCredentialsInvalid},
		{"session that says only who", 0, []Source{session("u"), host("app.acme.test")}, func(*world) {}, ""},
		{"session revoked, beside a domain", 0, []Source{host("app.acme.test"), session(hash)}, remove(sessionRef), CodeCredentialsInvalid},
		{"environment renamed that was named", 0, []Source{says("acme"), names("dev")}, remove(slug("acme", "dev")), CodeEnvironmentNotFound},
		{"environment deleted", 0, []Source{host("dev.acme.test")}, remove(registry.Reference{Kind: registry.KindEnvironmentID, Key: acmeDevID}), CodeTenantNotFound},
		{"four names, the last of which moved", 0, []Source{says("acme"), &fake{name: "id", yield: Yield{Reference: registry.Reference{Kind: registry.KindTenantID, Key: acmeID}}}, session(hash), host("app.acme.test")}, move(domain, slug("globex", "")), CodeMisdirectedRequest},
		{"membership over", 0, []Source{member(hash)}, remove(membership), CodeMembershipRequired},
		{"addresses restricted", 0, []Source{says("acme")}, set("acme", func(r *registry.Resolved) {
			r.Tenant.SecurityPolicy = &registry.SecurityPolicy{AccessControl: registry.AccessControl{IPWhitelist: []string{"192.0.2.1"}}}
		}), CodePolicyDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.credential(sessionRef, "acme", "production", inAcme)
			w.credential(userOnly, "", "", registry.Credential{User: "u1"})
			w.member("u1", "acme", "production", registry.RoleUser)
			rt, err := New(Config{Sources: tt.sources, Resolver: w, Agreement: tt.agreement})
			if err != nil {
				t.Fatal(err)
			}
			r := request(t, "app.acme.test", "/")
			d, err := rt.Route(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			// What the registry gives out is never modified: the world after the change has snapshots of its own.
			before := *d.Resolved
			d.Resolved = &before
			if refusal, err := rt.Recheck(context.Background(), r, &d, testNow); refusal != nil || err != nil {
				t.Fatalf("before: %v, %v", refusal, err)
			}
			tt.change(w)
			refusal, err := rt.Recheck(context.Background(), r, &d, testNow.Add(time.Hour))
			got := ""
			if refusal != nil {
				got = refusal.Code
			}
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			// Whatever is not known for certain ends nothing.
			w.fail = func(registry.Reference) error { return registry.ErrUnavailable }
			if refusal, err := rt.Recheck(context.Background(), r, &d, testNow); refusal != nil || !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("without the registry: %v, %v", refusal, err)
			}
		})
	}
}

// TestRecheckInPart keeps the promise that what can be asked counts, and that the time does without the registry.
func TestRecheckInPart(t *testing.T) {
	w := newWorld()
	w.set("acme", func(r *registry.Resolved) { r.Tenant.SubscriptionExpiresAt = testNow.Add(time.Minute) })
	rt := newRouter(t, w, says("acme"), host("app.acme.test"))
	r := request(t, "app.acme.test", "/")
	d, err := rt.Route(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !r.RestsOn("acme") || !r.RestsOn("app.acme.test") || r.RestsOn("globex.test") {
		t.Error("the names of the request are not those that it rests on")
	}
	w.fail = func(ref registry.Reference) error {
		if ref.Kind == registry.KindHost {
			return &registry.NotFoundError{}
		}
		return registry.ErrUnavailable
	}
	if refusal, _ := rt.Recheck(context.Background(), r, &d, testNow); refusal == nil || refusal.Code != CodeTenantNotFound {
		t.Errorf("a domain that is gone: %v", refusal)
	}
	w.fail = func(registry.Reference) error { return registry.ErrUnavailable }
	if refusal, _ := rt.Recheck(context.Background(), r, &d, testNow.Add(time.Minute)); refusal == nil || refusal.Code != CodeSubscriptionExpired {
		t.Errorf("a subscription that is over: %v", refusal)
	}
	w.fail = nil
	w.byRef[registry.Reference{Kind: registry.KindEnvironmentID, Key: acmeProdID}] = w.byRef[slug("globex", "")]
	if refusal, err := rt.Recheck(context.Background(), r, &d, testNow); refusal == nil || refusal.Code != CodeMisdirectedRequest || d.Resolved.Tenant.ID != uuid.MustParse(acmeID) {
		t.Errorf("an environment of another tenant: %v, %v", refusal, err)
	}
}
