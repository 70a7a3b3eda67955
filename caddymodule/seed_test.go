package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/registry"
)

// TestRestartUndoesNothing keeps the promise that what was changed in the registry outlives a restart, whatever the import
// file and the configuration's plans say, and that a file or plan that has changed is applied again.
func TestRestartUndoesNothing(t *testing.T) {
	s := newServer(t)
	file := `{"tenants": [{"slug": "acme", "plan": "tiny", "status": "active"}]}`
	start := func(file, plan string) {
		t.Helper()
		s.mustLoad(s.fileRegistry(file, "plan tiny {\n"+plan+"\n}"), gate)
	}
	stop := func() {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(when, want string) {
		t.Helper()
		if res, body := s.get("acme.app.test", "/"); !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", when, res.StatusCode, body, want)
		}
	}
	policy := func(when, want string) {
		t.Helper()
		if res, _ := s.get("acme.app.test", "/"); res.Header.Get("RateLimit-Policy") != want {
			t.Errorf("%s: policy %q, want %q", when, res.Header.Get("RateLimit-Policy"), want)
		}
	}
	start(file, "requests 100/m")
	answers("at first", "acme/production")
	stop()

	store, err := registry.Open(registry.Options{URL: "file:" + s.dir + "/registry/tenants.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	actor := registry.Actor{ID: "operator", Kind: "test"}
	if _, err := store.TransitionTenant(t.Context(), actor, "acme", 0, registry.Transition{Action: registry.ActionSuspend}); err != nil {
		t.Fatal(err)
	}
	start(file, "requests 100/m")
	answers("after a restart", "tenant_suspended")
	stop()

	if _, err := store.TransitionTenant(t.Context(), actor, "acme", 0, registry.Transition{Action: registry.ActionRestore}); err != nil {
		t.Fatal(err)
	}
	quotas := registry.Quotas{APIRateLimit: 7}
	if _, _, err := store.PutPlan(t.Context(), actor, registry.DocumentPlan{Name: "tiny", Quotas: &quotas}, 0); err != nil {
		t.Fatal(err)
	}
	start(file, "requests 100/m")
	policy("the operator's plan after a restart", `"requests";q=7;w=60`)
	stop()
	start(file, "requests 200/m")
	policy("a plan that has changed in the configuration", `"requests";q=200;w=60`)
	stop()
	start(`{"tenants": [{"slug": "acme", "plan": "tiny", "status": "suspended"}]}`, "requests 200/m")
	answers("a file that has changed", "tenant_suspended")
	stop()
	start(file, "requests 200/m")
	answers("a file that has changed back", "acme/production")
}
