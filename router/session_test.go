package router

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// who is a session or API key as a test's world has it.
type who = registry.Credential

// TestSession keeps the promises of the source "session": what the session names decides, its user has to be a member,
// and what is not a live session is refused, not ignored.
func TestSession(t *testing.T) {
	w := newWorld()
	w.member("u1", "acme", "production", registry.RoleUser)
	w.member("u1", "acme", "dev", registry.RoleAdmin)
	for token, s := range map[string]struct {
		slug, env string
		who
	}{
		"in-dev":     {"acme", "dev", who{User: "u1", NamesTenant: true, NamesEnvironment: true}},
		"in-acme":    {"acme", "", who{User: "u1", NamesTenant: true}},
		"nowhere":    {"", "", who{User: "u1"}},
		"lost":       {"", "", who{User: "u1", NamesTenant: true}},
		"removed":    {"acme", "", who{User: "u2", NamesTenant: true}},
		"in-globex":  {"globex", "", who{User: "u1", NamesTenant: true}},
		"over":       {"acme", "", who{User: "u1", NamesTenant: true, ExpiresAt: testNow}},
		"not-over":   {"acme", "", who{User: "u1", NamesTenant: true, ExpiresAt: testNow.Add(time.Nanosecond)}},
		"in-initech": {"initech", "", who{User: "u1", NamesTenant: true}},
	} {
		w.credential(sessionOf(token), s.slug, s.env, s.who)
	}
	w.set("initech", func(r *registry.Resolved) { r.Tenant.Status = registry.StatusSuspended })
	// The session of acme in an environment that a header names.
	w.credential(registry.Reference{Kind: registry.KindSession, Key: sessionOf("in-acme").Key, Environment: "dev"}, "acme", "dev", who{User: "u1", NamesTenant: true})

	rt := newRouter(t, w, sessions(t, SessionOptions{}), must(NewSubdomain([]string{"{tenant}.example.com", "{tenant}--{environment}.example.com"}, nil)), must(NewHeader("", "", false)))
	open := newRouter(t, w, sessions(t, SessionOptions{AnyUser: true}), must(NewSubdomain([]string{"{tenant}.example.com"}, nil)))
	for _, test := range []struct {
		name, cookie, host, environment string
		want, role                      string
	}{
		{"an environment", cookie("in-dev"), "", "", "acme/dev", "env_admin"},
		{"a tenant", cookie("in-acme"), "", "", "acme/production", "env_user"},
		{"a tenant, its address", cookie("in-acme"), "acme.example.com", "", "acme/production", "env_user"},
		{"a tenant, its other environment's address", cookie("in-acme"), "acme--dev.example.com", "", "acme/dev", "env_admin"},
		{"a tenant, a header's environment", cookie("in-acme"), "", "dev", "acme/dev", "env_admin"},
		{"an environment, another one's address", cookie("in-dev"), "acme--production.example.com", "", CodeTenantConflict, ""},
		{"another tenant's address", cookie("in-acme"), "globex.example.com", "", CodeTenantConflict, ""},
		{"only a user, the address says where", cookie("nowhere"), "acme.example.com", "", "acme/production", "env_user"},
		{"only a user, who is no member there", cookie("nowhere"), "globex.example.com", "", CodeMembershipRequired, ""},
		{"only a user", cookie("nowhere"), "", "", CodeTenantRequired, ""},
		{"a tenant that is not there", cookie("lost"), "", "", CodeTenantNotFound, ""},
		{"a tenant that is not there, at an address", cookie("lost"), "acme.example.com", "", CodeTenantNotFound, ""},
		{"a removed member", cookie("removed"), "", "", CodeMembershipRequired, ""},
		{"a member of another tenant", cookie("in-globex"), "", "", CodeMembershipRequired, ""},
		{"a suspended tenant", cookie("in-initech"), "", "", CodeTenantSuspended, ""},
		{"unknown or revoked", cookie("revoked"), "", "", CodeCredentialsInvalid, ""},
		{"expired since it was cached", cookie("over"), "", "", CodeCredentialsInvalid, ""},
		{"not expired yet", cookie("not-over"), "", "", "acme/production", "env_user"},
		{"garbage", "better-auth.session_token=garbage", "acme.example.com", "", CodeCredentialsInvalid, ""},
		{"a forged signature", strings.Replace(cookie("in-acme"), "in-acme", "in-dev", 1), "", "", CodeCredentialsInvalid, ""},
		{"no cookie", "theme=dark", "acme.example.com", "", "acme/production", ""},
	} {
		r := request(t, test.host, "/")
		r.HTTP.Header.Set("Cookie", test.cookie)
		if test.environment != "" {
			r.HTTP.Header.Set(DefaultEnvironmentHeader, test.environment)
		}
		d, err := rt.Route(t.Context(), r)
		if got := outcome(d, err); got != test.want || strings.Join(d.Roles, ",") != test.role {
			t.Errorf("%s: %s as %v, want %s as %s", test.name, got, d.Roles, test.want, test.role)
		}
	}
	for token, want := range map[string]string{"removed": "acme/production", "nowhere": "globex/production"} {
		r := request(t, map[string]string{"nowhere": "globex.example.com"}[token], "/")
		r.HTTP.Header.Set("Cookie", cookie(token))
		if got := outcome(open.Route(t.Context(), r)); got != want {
			t.Errorf("any user, %s: %s, want %s", token, got, want)
		}
	}
}

// TestSessionTable keeps the promise that sessions of an application's table are looked up by their token, not its hash.
func TestSessionTable(t *testing.T) {
	w := newWorld()
	w.credential(registry.Reference{Kind: registry.KindSessionToken, Key: "tok"}, "acme", "dev", who{User: "u1", NamesTenant: true, NamesEnvironment: true})
	rt := newRouter(t, w, sessions(t, SessionOptions{Table: true, AnyUser: true}))
	for token, want := range map[string]string{"tok": "acme/dev", "other": CodeCredentialsInvalid} {
		r := request(t, "", "/")
		r.HTTP.Header.Set("Cookie", cookie(token))
		if got := outcome(rt.Route(t.Context(), r)); got != want {
			t.Errorf("%s: %s, want %s", token, got, want)
		}
	}
}

// TestAPIKey keeps the promises of the source "api_key": a live key leads to its environment and nowhere else, it is as
// good as the user it acts as, and anything else that looks like a key is refused.
func TestAPIKey(t *testing.T) {
	w := newWorld()
	w.member("u1", "acme", "dev", registry.RoleUser)
	keys := map[string]string{}
	make := func(name, slug, env string, c who) {
		key, ref := apiKey(t, "dev")
		keys[name] = key
		if slug != "" {
			c.NamesTenant, c.NamesEnvironment = true, true
			if c.Role != "" {
				c.Roles = []string{string(c.Role)}
			}
			w.credential(ref, slug, env, c)
		}
	}
	make("plain", "acme", "dev", who{})
	make("of a member", "acme", "dev", who{User: "u1"})
	make("of a member, for more", "acme", "dev", who{User: "u1", Role: registry.RoleAdmin})
	make("of a member, for less", "acme", "dev", who{User: "u1", Role: registry.RoleViewer})
	make("of somebody who left", "acme", "dev", who{User: "u2", Role: registry.RoleAdmin})
	make("expired since it was cached", "acme", "dev", who{ExpiresAt: testNow})
	make("admin's", "acme", "dev", who{Role: registry.RoleAdmin})
	make("unknown", "", "", who{})
	make("archived", "globex", "", who{})
	w.set("globex", func(r *registry.Resolved) { r.Environment.Status = registry.StatusArchived })
	keys["mistyped"] = keys["plain"][:len(keys["plain"])-1] + "!"
	keys["cut"] = keys["plain"][:20]

	plain := newRouter(t, w, apiKeys(t, false), must(NewSubdomain([]string{"{tenant}.example.com", "{tenant}--{environment}.example.com"}, nil)))
	strict, err := New(Config{Sources: plain.sources, Resolver: w, RequireRole: registry.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ key, host, want, role, strict string }{
		{"plain", "", "acme/dev", "", CodeRoleInsufficient},
		{"plain", "acme.example.com", "acme/dev", "", CodeRoleInsufficient},
		{"plain", "acme--production.example.com", CodeTenantConflict, "", CodeTenantConflict},
		{"plain", "globex.example.com", CodeTenantConflict, "", CodeTenantConflict},
		{"of a member", "", "acme/dev", "env_user", "acme/dev"},
		{"of a member, for more", "", "acme/dev", "env_user", "acme/dev"},
		{"of a member, for less", "", "acme/dev", "env_viewer", CodeRoleInsufficient},
		{"of somebody who left", "", CodeMembershipRequired, "", CodeMembershipRequired},
		{"admin's", "", "acme/dev", "env_admin", "acme/dev"},
		{"expired since it was cached", "", CodeCredentialsInvalid, "", CodeCredentialsInvalid},
		{"unknown", "", CodeCredentialsInvalid, "", CodeCredentialsInvalid},
		{"unknown", "acme.example.com", CodeCredentialsInvalid, "", CodeCredentialsInvalid},
		{"archived", "", CodeEnvironmentInactive, "", CodeEnvironmentInactive},
		{"mistyped", "acme.example.com", CodeCredentialsInvalid, "", CodeCredentialsInvalid},
		{"cut", "acme.example.com", CodeCredentialsInvalid, "", CodeCredentialsInvalid},
	} {
		for _, header := range []string{credential.DefaultKeyHeader, "Authorization"} {
			r := request(t, test.host, "/")
			value := keys[test.key]
			if header == "Authorization" {
				value = "Bearer " + value
			}
			r.HTTP.Header.Set(header, value)
			d, err := plain.Route(t.Context(), r)
			if got := outcome(d, err); got != test.want || strings.Join(d.Roles, ",") != test.role {
				t.Errorf("%s in %s at %q: %s as %v, want %s as %s", test.key, header, test.host, got, d.Roles, test.want, test.role)
			}
			if got := outcome(strict.Route(t.Context(), r)); got != test.strict {
				t.Errorf("%s in %s at %q with a role: %s, want %s", test.key, header, test.host, got, test.strict)
			}
		}
	}
}

// TestRegistryDownForCredentials keeps the promise that a session or key which nobody can look up is not called bad.
func TestRegistryDownForCredentials(t *testing.T) {
	w := newWorld()
	w.fail = func(ref registry.Reference) error {
		if looksUp(ref.Kind) || ref.Kind == registry.KindMember {
			return errors.Join(registry.ErrUnavailable)
		}
		return nil
	}
	key, _ := apiKey(t, "dev")
	rt := newRouter(t, w, apiKeys(t, false), sessions(t, SessionOptions{}), says("acme"))
	for header, value := range map[string]string{"Cookie": cookie("s"), "X-Api-Key": key} {
		r := request(t, "", "/")
		r.HTTP.Header.Set(header, value)
		if got := outcome(rt.Route(t.Context(), r)); got != CodeRegistryUnavailable {
			t.Errorf("%s: %s", header, got)
		}
	}
	members, err := New(Config{Sources: []Source{proves("acme")}, Resolver: w, RequireRole: registry.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(members.Route(t.Context(), request(t, "", "/"))); got != CodeRegistryUnavailable {
		t.Errorf("membership: %s", got)
	}
}

// TestRemoveCredentials keeps the promise that a cookie or key is taken out of what is forwarded where that is asked for,
// and nothing else is.
func TestRemoveCredentials(t *testing.T) {
	w := newWorld()
	for _, remove := range []bool{true, false} {
		rt := newRouter(t, w, sessions(t, SessionOptions{Remove: remove}), apiKeys(t, remove))
		key, _ := apiKey(t, "dev")
		h := http.Header{"Cookie": {"theme=dark; " + cookie("s")}, "X-Api-Key": {key}, "Authorization": {"Bearer " + key}}
		r := &http.Request{Header: h, URL: request(t, "", "/").HTTP.URL}
		rt.Rewrite(r, &Decision{})
		gone := r.Header.Get("Cookie") == "theme=dark" && r.Header.Get("X-Api-Key") == "" && r.Header.Get("Authorization") == ""
		if gone != remove {
			t.Errorf("remove %t: %v", remove, r.Header)
		}
	}
}

// TestRequireRole keeps the order of roles, and the promise that nobody passes without a membership where one is asked for.
func TestRequireRole(t *testing.T) {
	w := newWorld()
	w.member("u1", "acme", "production", registry.RoleUser)
	user := func(name string) *fake {
		return &fake{name: "jwt", yield: Yield{Reference: slug("acme", ""), Authenticated: true, User: name, Roles: []string{"env_admin"}}}
	}
	onlyUser := &fake{name: "jwt", yield: Yield{Authenticated: true, User: "u1"}}
	for _, test := range []struct {
		name    string
		sources []Source
		role    registry.Role
		want    string
	}{
		{"enough", []Source{user("u1")}, registry.RoleUser, "acme/production"},
		{"more than enough", []Source{user("u1")}, registry.RoleViewer, "acme/production"},
		{"too little, whatever the token says", []Source{user("u1")}, registry.RoleMaker, CodeRoleInsufficient},
		{"no member", []Source{user("u2")}, registry.RoleViewer, CodeMembershipRequired},
		{"a token of nobody", []Source{user("")}, registry.RoleViewer, CodeMembershipRequired},
		{"no token", []Source{says("acme")}, registry.RoleViewer, CodeCredentialsInvalid},
		{"the user from a token, the tenant from the address", []Source{onlyUser, says("acme")}, registry.RoleUser, "acme/production"},
		{"the user is no member of that tenant", []Source{onlyUser, says("globex")}, registry.RoleViewer, CodeMembershipRequired},
		{"no role asked for", []Source{user("u2")}, "", "acme/production"},
	} {
		rt, err := New(Config{Sources: test.sources, Resolver: w, RequireRole: test.role})
		if err != nil {
			t.Fatal(err)
		}
		d, err := rt.Route(context.Background(), request(t, "", "/"))
		if got := outcome(d, err); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		} else if err == nil && test.role != "" && strings.Join(d.Roles, ",") != "env_user" {
			t.Errorf("%s: roles %v, want those of the membership", test.name, d.Roles)
		}
	}
	if _, err := New(Config{Sources: []Source{says("acme")}, Resolver: w, RequireRole: "owner"}); err == nil {
		t.Error("a role that does not exist was accepted")
	}
}
