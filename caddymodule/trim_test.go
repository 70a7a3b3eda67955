package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// TestTrim keeps the promise that a gateway removes from the registry what has served its time, and nothing else: old rows
// of the change log, former slugs that have expired, sessions that expired a week ago, old usage by day, and audit rows
// where a tenant says how long they are kept.
func TestTrim(t *testing.T) {
	store, err := registry.Open(registry.Options{URL: "file:" + t.TempDir() + "/tenants.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	actor := registry.Actor{ID: "test", Kind: "test"}
	for slug, metadata := range map[string]map[string]string{"short": {registry.RetentionKey: "1"}, "long": nil} {
		n := registry.NewTenant{}
		n.Slug, n.Metadata = slug, metadata
		if _, err := store.CreateTenant(t.Context(), actor, n); err != nil {
			t.Fatal(err)
		}
	}
	s := &storeSwitch{}
	s.current.Store(&pooledStore{store: store})
	audit := func(slug string) int {
		t.Helper()
		tenant, err := store.GetTenant(t.Context(), slug)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := store.ListAudit(t.Context(), registry.AuditFilter{Tenant: tenant.ID})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	oldest := func() int64 {
		t.Helper()
		changes, err := store.Changes(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		return changes.Oldest
	}
	tenant, err := store.GetTenant(t.Context(), "long")
	if err != nil {
		t.Fatal(err)
	}
	used := registry.UsageRecord{UsageAccount: registry.UsageAccount{Tenant: tenant.ID, Day: time.Now().AddDate(-1, 0, 0)}, Used: 7}
	if err := store.SaveUsage(t.Context(), "node", []registry.UsageRecord{used}); err != nil {
		t.Fatal(err)
	}
	days := func() int {
		t.Helper()
		usage, err := store.ListUsage(t.Context(), registry.UsageQuery{Period: registry.UsageByDay})
		if err != nil {
			t.Fatal(err)
		}
		return len(usage)
	}
	if days() != 1 {
		t.Fatalf("%d days of usage", days())
	}
	session := strings.Repeat("5e", 32)
	if _, err := store.CreateSession(t.Context(), actor, registry.NewSession{Hash: session, UserID: "u", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	before := oldest()
	if err := s.trim(t.Context(), time.Now()); err != nil || audit("short") == 0 || audit("long") == 0 || oldest() != before {
		t.Fatalf("what is new was trimmed: %v", err)
	}
	if err := s.trim(t.Context(), time.Now().Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if audit("short") != 0 || audit("long") == 0 || oldest() == before {
		t.Errorf("after two days: %d and %d audit rows, the change log begins at %d", audit("short"), audit("long"), oldest())
	}
	if days() != 0 {
		t.Error("last year's usage is still kept by day")
	}
	if err := store.RevokeSession(t.Context(), actor, session); err != nil {
		t.Errorf("a session that expired two days ago: %v", err)
	}
	if err := s.trim(t.Context(), time.Now().Add(8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := store.RevokeSession(t.Context(), actor, session); registry.Code(err) != registry.CodeNotFound {
		t.Errorf("a session that expired more than a week ago: %v", err)
	}
	if err := (&storeSwitch{}).trim(t.Context(), time.Now()); err != nil {
		t.Errorf("without a store: %v", err)
	}
}
