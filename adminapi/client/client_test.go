package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
)

// start serves the API on a new registry, and returns a client of it.
func start(t *testing.T) *client.Client {
	t.Helper()
	key, err := registry.NewSecretKey("k1", strings.Repeat("0f1e", 16))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := registry.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "registry.db"), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the directory goes with it
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	api, err := adminapi.New(adminapi.Options{Backend: adminapi.Fixed(adminapi.Backend{Store: store})})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return connect(t, server.URL)
}

func connect(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Address: address, Actor: "alice", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get fails the test at an error.
func get[T any](t *testing.T) func(*T, error) *T {
	return func(v *T, err error) *T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Promise: what the client is given comes back as it was: what is left out stays, what is empty is removed, and names with
// any characters are found.
func TestRoundTrip(t *testing.T) {
	c, ctx := start(t), t.Context()
	tenant := get[registry.Tenant](t)
	yes := true
	region := "eu"
	end := adminapi.Instant{Time: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}
	acme := tenant(c.CreateTenant(ctx, adminapi.TenantRequest{
		Slug: "acme", Name: "Acme <&> Ü", SubscriptionExpiresAt: &end, Quotas: &registry.Quotas{APIRateLimit: 60, Burst: 5}, Upstreams: []string{"127.0.0.1:1"},
		Metadata: map[string]string{"a": "b"}, SecurityPolicy: &registry.SecurityPolicy{AccessControl: registry.AccessControl{IPWhitelist: []string{"10.0.0.0/8"}}},
		Environments: []adminapi.EnvironmentRequest{{
			Slug: "main", Default: &yes, Region: &region, Domains: []string{"acme.test"}, Members: []adminapi.MemberRequest{{UserID: "u", Role: "env_user"}},
			Database: &adminapi.DatabaseRequest{Driver: "sqlite"},
		}},
	}, "key-1"))
	if acme.Name != "Acme <&> Ü" || !acme.SubscriptionExpiresAt.Equal(end.Time) || acme.Quotas.Burst != 5 || len(acme.Upstreams) != 1 || acme.Metadata["a"] != "b" || acme.SecurityPolicy == nil {
		t.Errorf("created: %+v", acme)
	}
	same := tenant(c.UpdateTenant(ctx, "acme", acme.Version, adminapi.TenantRequest{}))
	if same.Version != acme.Version {
		t.Errorf("nothing given, and changed: %+v", same)
	}
	bare := tenant(c.UpdateTenant(ctx, acme.ID.String(), acme.Version, adminapi.TenantRequest{
		SubscriptionExpiresAt: &adminapi.Instant{}, Quotas: &registry.Quotas{}, Upstreams: []string{}, Metadata: map[string]string{}, SecurityPolicy: &registry.SecurityPolicy{},
	}))
	if !bare.SubscriptionExpiresAt.IsZero() || bare.Quotas != (registry.Quotas{}) || len(bare.Upstreams)+len(bare.Metadata) != 0 || bare.SecurityPolicy != nil || bare.Name != acme.Name {
		t.Errorf("removed: %+v", bare)
	}
	none := ""
	if e := get[registry.Environment](t)(c.UpdateEnvironment(ctx, "acme", "main", 0, adminapi.EnvironmentRequest{Region: &none})); e.Region != "" || e.Database == nil {
		t.Errorf("environment: %+v", e)
	}
	const user = "a/b c?d#e%2F:ü"
	get[registry.Member](t)(c.AddMember(ctx, "acme", "main", adminapi.MemberRequest{UserID: user, Role: "env_user"}, ""))
	if m := get[registry.Member](t)(c.SetMemberRole(ctx, "acme", "main", user, "env_admin", 1)); m.UserID != user || m.Role != "env_admin" {
		t.Errorf("member: %+v", m)
	}
	if err := c.RemoveMember(ctx, "acme", "main", user, 2); err != nil {
		t.Error(err)
	}
	p := get[registry.Plan](t)(c.PutPlan(ctx, adminapi.PlanRequest{Name: "gold", Quotas: &registry.Quotas{APIRateLimit: 1}}, registry.NotThere))
	if _, err := c.PutPlan(ctx, adminapi.PlanRequest{Name: "gold"}, registry.NotThere); client.Code(err) != registry.CodeVersionConflict {
		t.Errorf("a plan that is there: %v", err)
	}
	if err := c.DeletePlan(ctx, "gold", p.Version, false); err != nil {
		t.Error(err)
	}
	if doc, err := c.OpenAPI(ctx); err != nil || doc["openapi"] != "3.1.0" {
		t.Errorf("document: %v %v", doc["openapi"], err)
	}
}

// Promise: what an application reports is what it is asked about, and what was used is listed by period.
func TestUsage(t *testing.T) {
	c, ctx := start(t), t.Context()
	get[registry.Tenant](t)(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Quotas: &registry.Quotas{MaxUsers: 5}}, ""))
	if r := get[registry.QuotaResult](t)(c.ReportUsage(ctx, "acme", "production", "maxUsers", 4)); !r.Allowed || r.CurrentUsage != 4 || r.Limit != 5 {
		t.Errorf("reported: %+v", r)
	}
	if r := get[registry.QuotaResult](t)(c.CheckUsage(ctx, "acme", "production", "maxUsers", 2)); r.Allowed || r.ExceededQuota != "maxUsers" {
		t.Errorf("two more: %+v", r)
	}
	if l := get[adminapi.List[registry.UsageRow]](t)(c.ListUsage(ctx, client.UsageFilter{Tenant: "acme", Period: registry.UsageByDay})); len(l.Items) != 0 {
		t.Errorf("nobody has asked for anything: %+v", l.Items)
	}
	if _, err := c.ListUsage(ctx, client.UsageFilter{Period: "year"}); client.Code(err) != registry.CodeInvalid {
		t.Errorf("a period that there is not: %v", err)
	}
}

// Promise: a secret comes back as it was stored, whatever characters it has, and only where it is asked for.
func TestCredentials(t *testing.T) {
	c, ctx := start(t), t.Context()
	get[registry.Tenant](t)(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme"}, ""))
	const secret = " <pass>&\"\\\u2028\n\tword ü 🔑 "
	end := adminapi.Instant{Time: time.Date(2131, 2, 3, 4, 5, 6, 0, time.UTC)}
	record := get[registry.DatabaseCredential](t)
	request := adminapi.CredentialRequest{Scope: "admin", Secret: secret, ExpiresAt: &end}
	first := record(c.CreateCredential(ctx, "acme", "production", request, "key"))
	if again := record(c.CreateCredential(ctx, "acme", "production", request, "key")); again.ID != first.ID || !first.ExpiresAt.Equal(end.Time) || first.Scope != registry.ScopeAdmin {
		t.Errorf("created: %+v, then %+v", first, again)
	}
	id := first.ID.String()
	if r := get[adminapi.RevealedCredential](t)(c.RevealCredential(ctx, "acme", "production", id, 1)); r.Secret != secret || r.ID != first.ID {
		t.Errorf("revealed: %+v", r)
	}
	second := record(c.RotateCredential(ctx, "acme", "production", id, 1, adminapi.RotateCredentialRequest{Secret: "next"}))
	if r := get[adminapi.RevealedCredential](t)(c.RevealCredential(ctx, "acme", "production", second.ID.String(), 0)); r.Secret != "next" || r.RotatedFrom != first.ID {
		t.Errorf("rotated: %+v", r)
	}
	if _, err := c.RevokeCredential(ctx, "acme", "production", id, 1); client.Code(err) != registry.CodeVersionConflict {
		t.Errorf("a stale version: %v", err)
	}
	record(c.RevokeCredential(ctx, "acme", "production", id, 2))
	if _, err := c.RevealCredential(ctx, "acme", "production", id, 0); client.Code(err) != registry.CodeStateConflict {
		t.Errorf("revoked: %v", err)
	}
	l := get[adminapi.List[registry.DatabaseCredential]](t)(c.ListCredentials(ctx, "acme", "production", registry.Page{Limit: 1}))
	if len(l.Items) != 1 || l.Items[0].Status != registry.CredentialRevoked || l.Next == "" || record(c.GetCredential(ctx, "acme", "production", id)).Version != 3 {
		t.Errorf("list: %+v", l)
	}
	if r := get[registry.Reseal](t)(c.ResealCredentials(ctx, adminapi.ResealRequest{Limit: 1})); r.KeyID != "k1" || r.Resealed != 0 || r.Next != "" || len(r.Keys) != 1 {
		t.Errorf("resealed: %+v", r)
	}
}

// Promise: a refusal comes as it was made, with its code, place and time to wait; what is no gateway is told apart.
func TestErrors(t *testing.T) {
	c, ctx := start(t), t.Context()
	_, err := c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "No"}, "")
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 400 || refused.Field != "slug" || client.Code(err) != "invalid" || err.Error() == "" {
		t.Errorf("%+v", err)
	}
	if _, err := c.Cache(ctx); client.Code(err) != adminapi.CodeNoGateway {
		t.Errorf("without a gateway: %v", err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"text":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"half a JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"slug": "acm`)) },
	} {
		server := httptest.NewServer(h)
		if _, err := connect(t, server.URL).GetTenant(ctx, "acme"); err == nil || client.Code(err) != "" || !strings.Contains(err.Error(), "admin endpoint") {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	for _, address := range []string{"", "localhost:2019", "ftp://x", "http://u:p@x", "http://x?y"} {
		if _, err := client.New(client.Options{Address: address}); err == nil {
			t.Errorf("the address %q is taken", address)
		}
	}
}
