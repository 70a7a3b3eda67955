package registry

import (
	"testing"
)

// operator is who makes the changes of these tests.
var operator = Actor{ID: "ops@example.com", Kind: "user", RequestID: "r1", RemoteAddr: "192.0.2.7"}

// Promise: a tenant goes from creation to its end, each step with its row in the audit log and the change log.
func TestTenantLifecycle(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tenant, err := s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "acme", Status: StatusProvisioning}})
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range []Action{ActionActivate, ActionSuspend, ActionRestore, ActionArchive, ActionRestore, ActionArchive} {
			next, err := s.TransitionTenant(ctx, operator, "acme", tenant.Version, Transition{Action: action, Reason: "because"})
			if err != nil {
				t.Fatal(err)
			}
			if next.Version != tenant.Version+1 || next.ID != tenant.ID || next.StatusReason != "because" || next.StatusChangedAt.IsZero() {
				t.Errorf("%s: got %+v after %+v", action, next, tenant)
			}
			tenant = next
		}
		if err := s.DestroyTenant(ctx, operator, "acme", tenant.Version, "acme"); err != nil {
			t.Fatal(err)
		}
		list, next, err := s.ListAudit(ctx, AuditFilter{Tenant: tenant.ID})
		if err != nil || next != "" || len(list) != 8 {
			t.Errorf("got %d rows, %q, %v", len(list), next, err)
		}
	})
}
