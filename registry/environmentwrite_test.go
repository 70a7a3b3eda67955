package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Promise: an environment goes from creation to its end, each step with its rows in the audit log and the change log;
// the default one cannot be removed, and protected ones want their slug repeated.
func TestEnvironmentLifecycle(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tenant := newTenant(t, s, "acme")
		created := must(s.CreateEnvironment(ctx, operator, "acme", NewEnvironment{DocumentEnvironment: DocumentEnvironment{
			Slug: "qa", Type: EnvironmentTest, Region: ptr("eu"), Domains: []string{"qa.acme.test"}, Members: []DocumentMember{{"u", "env_user"}},
			Database: &DocumentDatabase{Driver: "libsql", URL: ptr("libsql://db.internal")},
		}}))(t)
		if created.Version != 1 || created.Default || created.Protected() || created.TenantID != tenant.ID || created.Database.Name != created.ID.String() {
			t.Errorf("got %+v", created)
		}
		text, row := lastAudit(t, s)
		if !strings.HasPrefix(text, `environment.create qa {"after":{"domains":1,`) || row.Environment != created.ID || row.Tenant != tenant.ID {
			t.Errorf("got %s", text)
		}
		e := created
		for _, action := range []Action{ActionSuspend, ActionRestore, ActionArchive} {
			before := must(s.Changes(ctx, 0, 0))(t)
			next := must(s.TransitionEnvironment(ctx, operator, tenant.ID.String(), "qa", e.Version, Transition{Action: action, Reason: "r"}))(t)
			after := must(s.Changes(ctx, before.Newest, 0))(t)
			if next.Version != e.Version+1 || len(after.List) != 1 || after.List[0].Environment != e.ID || after.List[0].Entity != "environment" {
				t.Errorf("%s: %+v, changes %+v", action, next, after.List)
			}
			want := fmt.Sprintf(`environment.%s qa {"reason":"r","before":{"status":%q},"after":{"status":%q},"version":%d}`, action, e.Status, next.Status, next.Version)
			if got, _ := lastAudit(t, s); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			e = next
		}
		if err := s.DestroyEnvironment(ctx, operator, "acme", "qa", e.Version, ""); err != nil {
			t.Fatal(err)
		}
		if got := state(t, s); got != "acme(dev production*)" {
			t.Errorf("left: %s", got)
		}
		if text, _ := lastAudit(t, s); !strings.HasPrefix(text, `environment.delete qa {"before":{"database":{"driver":"libsql",`) {
			t.Errorf("got %s", text)
		}

		// What is protected.
		archive := func(slug, force string) error {
			_, err := s.TransitionEnvironment(ctx, operator, "acme", slug, 0, Transition{Action: ActionArchive, Force: force})
			return err
		}
		wantRefusal(t, "archive production", archive("production", ""), CodeProtected, "")
		wantRefusal(t, "archive production for dev", archive("production", "dev"), CodeProtected, "")
		wantRefusal(t, "archive dev", archive("dev", ""), "", "")
		wantRefusal(t, "archive production by force", archive("production", "production"), "", "")
		wantRefusal(t, "destroy the default", s.DestroyEnvironment(ctx, operator, "acme", "production", 0, "production"), CodeProtected, "")
		_, err := s.MakeDefault(ctx, operator, "acme", "dev", 0)
		wantRefusal(t, "an archived default", err, CodeStateConflict, "")
		must(s.TransitionEnvironment(ctx, operator, "acme", "dev", 0, Transition{Action: ActionRestore}))(t)
		made := must(s.MakeDefault(ctx, operator, "acme", "dev", 0))(t)
		if got := state(t, s); got != "acme(dev* production)" || !made.Default {
			t.Errorf("got %s", got)
		}
		list, _, err := s.ListAudit(ctx, AuditFilter{Page: Page{Limit: 2}})
		if err != nil || list[0].Action != "environment.default" || list[1].Action != "environment.update" || list[1].Subject != "production" {
			t.Errorf("got %+v, %v", list, err)
		}
		before := counts(t, s)
		if again := must(s.MakeDefault(ctx, operator, "acme", "dev", made.Version))(t); again.Version != made.Version || counts(t, s) != before {
			t.Error("making the default the default wrote something")
		}
		wantRefusal(t, "destroy production", s.DestroyEnvironment(ctx, operator, "acme", "production", 0, ""), CodeProtected, "")
		wantRefusal(t, "destroy production, stale", s.DestroyEnvironment(ctx, operator, "acme", "production", 99, "production"), CodeVersionConflict, "")
		wantRefusal(t, "destroy dev, which is active and the default", s.DestroyEnvironment(ctx, operator, "acme", "dev", 0, "dev"), CodeProtected, "")
		wantRefusal(t, "destroy production by force", s.DestroyEnvironment(ctx, operator, "acme", "production", 0, "production"), "", "")
		wantRefusal(t, "destroy it again", s.DestroyEnvironment(ctx, operator, "acme", "production", 0, "production"), CodeNotFound, "")
		must(s.CreateEnvironment(ctx, operator, "acme", NewEnvironment{DocumentEnvironment: DocumentEnvironment{Slug: "live"}}))(t)
		wantRefusal(t, "destroy what is active", s.DestroyEnvironment(ctx, operator, "acme", "live", 0, ""), CodeStateConflict, "")
		sound(t, s)
	})
}

// Promise: what a creation of an environment refuses has its place and code, and leaves nothing behind; one that is made
// the default takes over.
func TestCreateEnvironment(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		importText(t, s, designDocument)
		newTenant(t, s, "other")
		for what, test := range map[string]struct {
			tenant      string
			doc         DocumentEnvironment
			code, field string
		}{
			"no tenant":              {"nobody", DocumentEnvironment{Slug: "x"}, CodeNotFound, ""},
			"slug taken":             {"acme", DocumentEnvironment{Slug: "production"}, CodeDuplicate, "slug"},
			"capitals":               {"acme", DocumentEnvironment{Slug: "QA"}, CodeInvalid, "slug"},
			"unicode":                {"acme", DocumentEnvironment{Slug: "prüfung"}, CodeInvalid, "slug"},
			"id taken":               {"acme", DocumentEnvironment{Slug: "x", ID: uuid.MustParse(idAcmeProd)}, CodeDuplicate, "id"},
			"id of another tenant's": {"other", DocumentEnvironment{Slug: "x", ID: uuid.MustParse(idAcmeProd)}, CodeDuplicate, "id"},
			"type":                   {"acme", DocumentEnvironment{Slug: "x", Type: "live"}, CodeInvalid, "type"},
			"status":                 {"acme", DocumentEnvironment{Slug: "x", Status: StatusArchived}, CodeInvalid, "status"},
			"region":                 {"acme", DocumentEnvironment{Slug: "x", Region: ptr(strings.Repeat("r", 64))}, CodeTooLong, "region"},
			"domain of its own":      {"acme", DocumentEnvironment{Slug: "x", Domains: []string{"new.acme.test", "app.acme.test"}}, CodeDuplicate, "domains[1]"},
			"domain of another":      {"other", DocumentEnvironment{Slug: "x", Domains: []string{"app.acme.test"}}, CodeDuplicate, "domains[0]"},
			"driver":                 {"acme", DocumentEnvironment{Slug: "x", Database: &DocumentDatabase{Driver: "oracle"}}, CodeInvalid, "database.driver"},
			"secret":                 {"acme", DocumentEnvironment{Slug: "x", Database: &DocumentDatabase{Driver: "postgres", URL: ptr("postgres://u:hunter2@db/x")}}, CodeInvalid, "database.url"},
		} {
			before := counts(t, s)
			_, err := s.CreateEnvironment(ctx, operator, test.tenant, NewEnvironment{DocumentEnvironment: test.doc})
			if wantRefusal(t, what, err, test.code, test.field); counts(t, s) != before {
				t.Errorf("%s: something was written", what)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error shows a secret: %v", what, err)
			}
		}
		e := must(s.CreateEnvironment(ctx, operator, "other", NewEnvironment{DocumentEnvironment: DocumentEnvironment{Slug: "new", Default: ptr(true)}}))(t)
		if got := state(t, s); !strings.Contains(got, "other(dev new* production)") || e.Version != 1 || e.Type != EnvironmentProduction {
			t.Errorf("got %s, %+v", got, e)
		}
		if got := one[int64](t, s, `SELECT version FROM sys_environment WHERE slug = 'production' AND id <> ?1`, idAcmeProd); got != 2 {
			t.Errorf("the former default has version %d", got)
		}
		sound(t, s)
	})
}

// Promise: an update changes what it gives; the name of a database never changes; nothing is written where nothing
// differs.
func TestUpdateEnvironment(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		newTenant(t, s, "acme")
		got := must(s.UpdateEnvironment(ctx, operator, "acme", "dev", 1, EnvironmentPatch{
			Name: "Dev", Region: ptr("eu"), Quotas: &Quotas{APIRateLimit: 9}, Database: &DocumentDatabase{Driver: "sqlite"},
		}))(t)
		if got.Version != 2 || got.Region != "eu" || got.Database == nil || got.Database.Driver != "sqlite" || got.Type != EnvironmentDevelopment {
			t.Errorf("got %+v", got)
		}
		text, _ := lastAudit(t, s)
		if !strings.HasPrefix(text, `environment.update dev {"before":{"name":"dev","quotas":{},"region":null},"after":{"database":{"driver":"sqlite"`) || !strings.HasSuffix(text, `"version":2}`) {
			t.Errorf("got %s", text)
		}
		before := counts(t, s)
		same := EnvironmentPatch{Name: "Dev", Database: &DocumentDatabase{Driver: "sqlite", Name: got.Database.Name}}
		if got := must(s.UpdateEnvironment(ctx, operator, "acme", "dev", 2, same))(t); got.Version != 2 || counts(t, s) != before {
			t.Errorf("nothing differs, and the version is %d", got.Version)
		}
		got = must(s.UpdateEnvironment(ctx, operator, "acme", "dev", 2, EnvironmentPatch{Region: ptr(""), Database: &DocumentDatabase{Driver: "sqlite", URL: ptr("file:x.db")}}))(t)
		if got.Region != "" || got.Database.URL != "file:x.db" || got.Database.Version != 2 {
			t.Errorf("got %+v %+v", got, got.Database)
		}
		_, err := s.UpdateEnvironment(ctx, operator, "acme", "dev", 0, EnvironmentPatch{Database: &DocumentDatabase{Driver: "sqlite", Name: "other"}})
		wantRefusal(t, "name of a database", err, CodeInvalid, "database.name")
		_, err = s.UpdateEnvironment(ctx, operator, "acme", "dev", 1, EnvironmentPatch{Name: "x"})
		wantRefusal(t, "stale", err, CodeVersionConflict, "")
		_, err = s.UpdateEnvironment(ctx, operator, "acme", "dev", 0, EnvironmentPatch{Slug: "production"})
		wantRefusal(t, "slug taken", err, CodeDuplicate, "slug")
		_, err = s.UpdateEnvironment(ctx, operator, "acme", "none", 0, EnvironmentPatch{Name: "x"})
		wantRefusal(t, "missing", err, CodeNotFound, "")
		sound(t, s)
	})
}
