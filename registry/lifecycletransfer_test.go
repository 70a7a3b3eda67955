package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// Promise: whatever changes have made of a registry, importing its export changes nothing, and makes the same registry
// elsewhere.
func TestExportAfterChanges(t *testing.T) {
	t.Parallel()
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.open(t))
			c := churner{s: s, r: rand.New(rand.NewPCG(5, 5))}
			for c.n = range 150 {
				actor := Actor{ID: "churn", RequestID: fmt.Sprintf("x-%d", c.n)}
				if err := c.change(t.Context(), actor); err != nil && (Code(err) == "" || errors.Is(err, ErrUnavailable)) {
					t.Fatal(err)
				}
			}
			text, before := export(t, s), dump(t, s)
			if strings.Count(text, `"slug"`) < 5 {
				t.Fatalf("the changes have made too little: %s", text)
			}
			if report := importText(t, s, text); report.Changed() || dump(t, s) != before {
				t.Errorf("importing the export changed something: %+v", report)
			}
			for _, slug := range allText(t, s, `SELECT slug FROM sys_organization`) { // gone, and imported again under the same ids
				run(t, s, `UPDATE sys_organization SET status = 'archived' WHERE slug = ?1`, slug)
				if err := s.DestroyTenant(t.Context(), operator, slug, 0, slug); err != nil {
					t.Fatal(err)
				}
			}
			if importText(t, s, text); export(t, s) != text {
				t.Errorf("first\n%s\nthen\n%s", text, export(t, s))
			}
			sound(t, s)
			other := migrated(t, backends()[0].open(t))
			if importText(t, other, text); export(t, other) != text {
				t.Errorf("first\n%s\nthen\n%s", text, export(t, other))
			}
			sound(t, other)
		})
	}
}

// Promise: imports and changes at once are in each other's way without an error for anyone but those that the other one
// contradicts, lose nothing of each other, and leave a sound registry.
func TestImportWithChanges(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		const rounds = 6
		importText(t, s, `{"tenants": [{"slug": "kept", "name": "0", "metadata": {"import": "0"}}]}`)
		kept := must(s.GetTenant(t.Context(), "kept"))(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range rounds {
				var conflicts *DocumentError
				_, err := s.Import(context.Background(), strings.NewReader(fmt.Sprintf(
					`{"tenants": [{"slug": "a", "metadata": {"i": "%[1]d"}}, {"slug": "b"}, {"id": %[2]q, "slug": "kept", "metadata": {"import": "%[1]d"}, "environments": [{"slug": "e%[1]d", "isDefault": true}]}]}`, i+1, kept.ID)), ImportOptions{})
				if err != nil && !errors.As(err, &conflicts) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			c := churner{s: s, r: rand.New(rand.NewPCG(9, 9))}
			for c.n = range rounds {
				if _, err := s.UpdateTenant(t.Context(), operator, "kept", 0, TenantPatch{Name: fmt.Sprint(c.n + 1)}); err != nil {
					t.Error(err)
				}
				if err := c.change(t.Context(), Actor{ID: "churn", RequestID: fmt.Sprint(c.n)}); err != nil && (Code(err) == "" || errors.Is(err, ErrUnavailable)) {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		got := must(s.GetTenant(t.Context(), "kept"))(t)
		if got.Name != fmt.Sprint(rounds) || got.Metadata["import"] != fmt.Sprint(rounds) {
			t.Errorf("something was lost: %+v", got)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_environment WHERE organization_id = ?1`, kept.ID.String()); n != rounds+1 {
			t.Errorf("%d environments", n)
		}
		sound(t, s)
	})
}

// Promise: a registry that an older version made, of any step, gets the rest of the schema and keeps what it has; all
// changes work on it.
func TestMigrateFromOlder(t *testing.T) {
	t.Parallel()
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			s := opened(t, b.open(t))
			steps := migrations()
			at := 0
			for steps[at].name != "0015_operation" {
				if err := s.applyMigration(t.Context(), steps[at]); err != nil {
					t.Fatal(err)
				}
				at++
			}
			run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'acme', 'Acme')`, idAcme)
			run(t, s, `INSERT INTO sys_environment (id, organization_id, slug, name) VALUES (?1, ?2, 'production', 'Production')`, idAcmeProd, idAcme)
			run(t, s, `INSERT INTO sys_organization_alias (slug, organization_id) VALUES ('old', ?1)`, idAcme)
			run(t, s, `INSERT INTO sys_environment_alias (organization_id, slug, environment_id) VALUES (?1, 'live', ?2)`, idAcme, idAcmeProd)
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := must(s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "old", Environment: "live"}))(t); r.Tenant.IDText() != idAcme || r.Environment.IDText() != idAcmeProd {
				t.Errorf("got %+v", r)
			}
			if list := must(s.TenantAliases(t.Context(), "old"))(t); len(list) != 1 || !list[0].ExpiresAt.IsZero() {
				t.Errorf("got %+v", list)
			}
			if got := must(s.TransitionTenant(t.Context(), operator, "old", 1, Transition{Action: ActionSuspend}))(t); got.Version != 2 || got.Status != StatusSuspended {
				t.Errorf("got %+v", got)
			}
			sound(t, s)
		})
	}
}
