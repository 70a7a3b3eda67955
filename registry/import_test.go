package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// importText imports a document and fails the test on an error.
func importText(t testing.TB, s *Store, text string) ImportReport {
	t.Helper()
	report, err := s.Import(t.Context(), strings.NewReader(text), ImportOptions{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// dump returns every row of every table, so that two dumps are the same exactly when nothing at all was written.
func dump(t testing.TB, s *Store) string {
	t.Helper()
	read := func(query string) (rows []string) {
		err := s.queryOn(t.Context(), s.write, func(r *sql.Rows) error {
			columns, err := r.Columns()
			if err != nil {
				return err
			}
			values, targets := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := r.Scan(targets...); err != nil {
				return err
			}
			rows = append(rows, fmt.Sprint(values...))
			return nil
		}, query)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	var b strings.Builder
	for _, table := range read(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'sys_%' ORDER BY name`) {
		rows := read(`SELECT * FROM ` + table)
		slices.Sort(rows)
		fmt.Fprintf(&b, "%s\n%s\n", table, strings.Join(rows, "\n"))
	}
	return b.String()
}

// newest is the position of the change log.
func newest(t testing.TB, s *Store) int64 {
	t.Helper()
	c, err := s.Changes(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c.Newest
}

// changes returns the rows of the change log after a position, as text.
func changes(t testing.TB, s *Store, after int64) (list []string) {
	t.Helper()
	c, err := s.Changes(t.Context(), after, 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range c.List {
		list = append(list, fmt.Sprintf("%s %s %s %s", ch.Entity, short(ch.Tenant), short(ch.Environment), ch.Key))
	}
	return list
}

// short shows the last two digits of an id; - for none.
func short(id uuid.UUID) string {
	if id == uuid.Nil {
		return "-"
	}
	return id.String()[34:]
}

// Promise: an import writes the whole of its file, and a second import of the same file writes nothing at all, not even
// a row of a log.
func TestImport(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		got := importText(t, s, designDocument)
		want := ImportReport{
			Plans: ImportCount{Created: 1}, Tenants: ImportCount{Created: 1}, Environments: ImportCount{Created: 1},
			Domains: ImportCount{Created: 1}, Members: ImportCount{Created: 1}, Databases: ImportCount{Created: 1},
			UnknownPlans: []string{"pro"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || !got.Changed() {
			t.Errorf("got %+v, want %+v", got, want)
		}
		r, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: "app.acme.test"})
		if err != nil {
			t.Fatal(err)
		}
		if r.Tenant.Slug != "acme" || r.Environment.Slug != "production" || r.Tenant.Quotas.APIRateLimit != 600 ||
			r.Database.Name != "0190a000-0000-7000-8000-000000000011" || r.Upstreams[0].Address != "127.0.0.1:9002" {
			t.Errorf("got %+v", r)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_environment_member WHERE user_id = 'u1' AND role = 'env_admin'`); n != 1 {
			t.Errorf("%d members", n)
		}
		wantChanges := []string{
			"plan - - free", "organization 01 - acme", "environment 01 11 production", "environment_database 01 11 ",
			"domain 01 11 app.acme.test", "environment_member 01 11 u1",
		}
		if got := changes(t, s, 0); !slices.Equal(got, wantChanges) {
			t.Errorf("changes %q, want %q", got, wantChanges)
		}
		var audit []string
		err = s.queryOn(t.Context(), s.write, func(rows *sql.Rows) error {
			var actor, action, subject string
			var tenant, detail sql.NullString
			err := rows.Scan(&actor, &action, &tenant, &subject, &detail)
			audit = append(audit, strings.Join([]string{actor, action, tenant.String, subject, detail.String}, " "))
			return err
		}, `SELECT actor, action, organization_id, subject, detail FROM sys_audit_log ORDER BY seq`)
		if err != nil || len(audit) != 3 || audit[0] != "test plan.create  free " ||
			audit[1] != `test organization.create 0190a000-0000-7000-8000-000000000001 acme {"createdEnvironments":["production"]}` ||
			!strings.HasPrefix(audit[2], `test import.apply  import {"`) {
			t.Errorf("audit log %q %v", audit, err)
		}

		before := dump(t, s)
		got = importText(t, s, designDocument)
		want = ImportReport{
			Plans: ImportCount{Unchanged: 1}, Tenants: ImportCount{Unchanged: 1}, Environments: ImportCount{Unchanged: 1},
			Domains: ImportCount{Unchanged: 1}, Members: ImportCount{Unchanged: 1}, Databases: ImportCount{Unchanged: 1},
			UnknownPlans: []string{"pro"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || got.Changed() {
			t.Errorf("second import: %+v", got)
		}
		if after := dump(t, s); after != before {
			t.Errorf("the second import wrote something:\n%s\nthen\n%s", before, after)
		}
	})
}

// Promise: a changed file writes only what differs: one version, one row in each log for the record that changed, and
// nothing for the others.
func TestImportWritesOnlyWhatDiffers(t *testing.T) {
	const first = `{"plans": [{"name": "free", "quotas": {"burst": 5}}], "tenants": [
 {"id": "0190a000-0000-7000-8000-000000000001", "slug": "a", "environments": [
   {"id": "0190a000-0000-7000-8000-000000000011", "slug": "production", "isDefault": true, "domains": ["a.example"], "members": [{"userId": "u", "role": "env_user"}],
    "database": {"driver": "turso", "name": "n", "region": "r"}},
   {"id": "0190a000-0000-7000-8000-000000000012", "slug": "dev"}]},
 {"id": "0190a000-0000-7000-8000-000000000002", "slug": "b", "metadata": {"x": "1", "y": "2"}}]}`
	onAll(t, func(t *testing.T, s *Store) {
		text := first
		importText(t, s, text)
		for _, step := range []struct {
			old, new string
			want     []string
			audit    string
		}{
			{`"burst": 5`, `"burst": 6`, []string{"plan - - free"}, "plan.update"},
			{`"slug": "dev"}`, `"slug": "dev", "quotas": {"apiRateLimit": 7}}`, []string{"environment 01 12 dev"}, "organization.update"},
			{`"x": "1"`, `"x": "3"`, []string{"organization 02 - b"}, "organization.update"},
			{`"domains": ["a.example"]`, `"domains": ["b.example", "a.example"]`, []string{"domain 01 11 b.example"}, "organization.update"},
			{`"env_user"`, `"env_admin"`, []string{"environment_member 01 11 u"}, "organization.update"},
			{`"driver": "turso"`, `"driver": "libsql"`, []string{"environment_database 01 11 "}, "organization.update"},
			{`"slug": "b",`, `"slug": "c",`, []string{"organization 02 - b", "organization 02 - c"}, "organization.update"},
			{`"region": "r"`, `"region": null`, nil, "organization.update"}, // a database's region is of no interest to a gateway
			// A domain and a member that the file no longer has stay, and so does what is left out.
			{`"domains": ["b.example", "a.example"]`, `"domains": []`, nil, ""},
			{`"members": [{"userId": "u", "role": "env_admin"}]`, `"members": null`, nil, ""},
			{`"metadata": {"x": "3", "y": "2"}`, `"metadata": {"y": "2", "x": "3"}`, nil, ""},
			{`, "metadata": {"y": "2", "x": "3"}`, ``, nil, ""},
			{`"environments": [
   {"id"`, `"quotas": {}, "upstreams": [], "metadata": {}, "securityPolicy": null, "environments": [
   {"id"`, nil, ""},
		} {
			before, at := dump(t, s), newest(t, s)
			audits := one[int](t, s, `SELECT count(*) FROM sys_audit_log`)
			if strings.Count(text, step.old) != 1 {
				t.Fatalf("%q stands %d times in the file", step.old, strings.Count(text, step.old))
			}
			text = strings.Replace(text, step.old, step.new, 1)
			report := importText(t, s, text)
			if got := changes(t, s, at); !slices.Equal(got, step.want) {
				t.Errorf("%s to %s: changes %q, want %q", step.old, step.new, got, step.want)
			}
			if step.audit == "" {
				if dump(t, s) != before || report.Changed() {
					t.Errorf("%s to %s: something was written", step.old, step.new)
				}
				continue
			}
			if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log`); n != audits+2 {
				t.Errorf("%s to %s: %d rows in the audit log, want 2", step.old, step.new, n-audits)
			}
			if action := one[string](t, s, `SELECT action FROM sys_audit_log ORDER BY seq LIMIT 1 OFFSET ?1`, audits); action != step.audit {
				t.Errorf("%s to %s: audit %s, want %s", step.old, step.new, action, step.audit)
			}
		}
		if v := one[int](t, s, `SELECT version FROM sys_environment WHERE slug = 'production' AND organization_id = ?1`, "0190a000-0000-7000-8000-000000000001"); v != 1 {
			t.Errorf("an environment that never changed has version %d", v)
		}
	})
}

// state shows slugs and defaults of all tenants: slug(env env*) with * at the default.
func state(t *testing.T, s *Store) string {
	t.Helper()
	return one[string](t, s, `SELECT group_concat(o.slug || '(' || (
  SELECT group_concat(slug || iif(is_default, '*', ''), ' ') FROM (SELECT * FROM sys_environment e WHERE e.organization_id = o.id ORDER BY slug)) || ')', ' ')
 FROM (SELECT * FROM sys_organization ORDER BY slug) o`)
}

// Promise: names can be changed, exchanged and taken over within one file, ids stay, and every tenant keeps exactly one
// default environment.
func TestImportNames(t *testing.T) {
	const a, b, e, f = `"id": "0190a000-0000-7000-8000-00000000000a"`, `"id": "0190a000-0000-7000-8000-00000000000b"`,
		`"id": "0190a000-0000-7000-8000-00000000000e"`, `"id": "0190a000-0000-7000-8000-00000000000f"`
	onAll(t, func(t *testing.T, s *Store) {
		for _, step := range []struct{ name, text, want string }{
			{"a tenant without environments gets one", `{"slug": "x"}`, "x(production*)"},
			{"and keeps it", `{"slug": "x", "environments": []}`, "x(production*)"},
			{"a single environment that is not called default is one more", `{"slug": "x", "environments": [{"slug": "dev"}]}`, "x(dev production*)"},
			{"the default moves", `{"slug": "x", "environments": [{"slug": "dev", "isDefault": true}]}`, "x(dev* production)"},
			{"to a new environment", `{"slug": "x", "environments": [{"slug": "dev", "isDefault": false}, {"slug": "qa", "isDefault": true}]}`, "x(dev production qa*)"},
			{"a single new one is the default", `{"slug": "y", "environments": [{"slug": "dev"}]}`, "x(dev production qa*) y(dev*)"},
			{
				"tenants with ids", `{"slug": "a", ` + a + `, "environments": [{"slug": "one", ` + e + `, "isDefault": true}, {"slug": "two", ` + f + `}]}, {"slug": "b", ` + b + `}`,
				"a(one* two) b(production*) x(dev production qa*) y(dev*)",
			},
			{"exchange slugs", `{"slug": "b", ` + a + `}, {"slug": "a", ` + b + `}`, "a(production*) b(one* two) x(dev production qa*) y(dev*)"},
			{
				"a chain, and a new tenant with a freed slug", `{"slug": "a"}, {"slug": "b", ` + b + `}, {"slug": "c", ` + a + `}`,
				"a(production*) b(production*) c(one* two) x(dev production qa*) y(dev*)",
			},
			{
				"exchange slugs of environments, and the default", `{"slug": "c", "environments": [{"slug": "two", ` + e + `}, {"slug": "one", ` + f + `, "isDefault": true}]}`,
				"a(production*) b(production*) c(one* two) x(dev production qa*) y(dev*)",
			},
			{
				"a new environment with a freed slug", `{"slug": "c", "environments": [{"slug": "one", "isDefault": true}, {"slug": "three", ` + f + `}]}`,
				"a(production*) b(production*) c(one* three two) x(dev production qa*) y(dev*)",
			},
		} {
			importText(t, s, `{"tenants": [`+step.text+`]}`)
			if got := state(t, s); got != step.want {
				t.Errorf("%s: got %s, want %s", step.name, got, step.want)
			}
			before := dump(t, s)
			if step.name != "a chain, and a new tenant with a freed slug" {
				importText(t, s, `{"tenants": [`+step.text+`]}`)
			}
			if after := dump(t, s); after != before {
				t.Errorf("%s: the second time something was written:\n%s\nthen\n%s", step.name, before, after)
			}
		}
		if id := one[string](t, s, `SELECT slug FROM sys_environment WHERE id = '0190a000-0000-7000-8000-00000000000f'`); id != "three" {
			t.Errorf("environment f is called %s", id)
		}
		if id := one[string](t, s, `SELECT slug FROM sys_organization WHERE id = '0190a000-0000-7000-8000-00000000000a'`); id != "c" {
			t.Errorf("tenant a is called %s", id)
		}
	})
}

// Promise: what the registry has under another id is never overwritten: the file is refused, with the place, and
// nothing of it is written.
func TestImportConflicts(t *testing.T) {
	const first = `{"tenants": [
 {"id": "0190a000-0000-7000-8000-000000000001", "slug": "a", "environments": [
   {"id": "0190a000-0000-7000-8000-000000000011", "slug": "one", "isDefault": true, "domains": ["a.example"], "database": {"driver": "turso", "name": "n"}},
   {"id": "0190a000-0000-7000-8000-000000000012", "slug": "two"}]},
 {"id": "0190a000-0000-7000-8000-000000000002", "slug": "b"}]}`
	onAll(t, func(t *testing.T, s *Store) {
		importText(t, s, first)
		before := dump(t, s)
		for _, test := range []struct{ text, want string }{
			{`{"slug": "new"}, {"slug": "a", "id": "0190a000-0000-7000-8000-000000000003"}`, `tenants[1].slug: "a" is the slug of another tenant in the registry, 0190a000-0000-7000-8000-000000000001`},
			{`{"slug": "new"}, {"slug": "a", "id": "0190a000-0000-7000-8000-000000000002"}`, `tenants[1].slug: "a" is the slug of another tenant`},
			{`{"slug": "a", "environments": [{"slug": "one", "id": "0190a000-0000-7000-8000-000000000012"}]}`, `tenants[0].environments[0].slug: "one" is the slug of another environment of this tenant in the registry, 0190a000-0000-7000-8000-000000000011`},
			{`{"slug": "b", "environments": [{"slug": "x", "id": "0190a000-0000-7000-8000-000000000012"}]}`, `tenants[0].environments[0].id: 0190a000-0000-7000-8000-000000000012 is an environment of another tenant in the registry, 0190a000-0000-7000-8000-000000000001`},
			{`{"slug": "b", "environments": [{"slug": "x", "domains": ["ok.example", "a.example"]}]}`, `tenants[0].environments[0].domains[1]: "a.example" belongs to another tenant in the registry`},
			{`{"slug": "a", "environments": [{"slug": "one", "database": {"driver": "turso", "name": "other"}}]}`, `tenants[0].environments[0].database.name: the name of a database never changes, and the registry has "n"`},
			{`{"slug": "a", "environments": [{"slug": "one", "isDefault": false}]}`, `tenants[0].environments[0].isDefault: this is the tenant's default environment`},
			{`{"slug": "c", "environments": [{"slug": "one", "isDefault": false}]}`, `tenants[0].environments[0].isDefault: the tenant has no other default environment`},
			{`{"slug": "new"}, {"slug": "Bad"}`, `tenants[1].slug: "Bad" is no slug`},
		} {
			_, err := s.Import(t.Context(), strings.NewReader("{\"tenants\": [\n"+test.text+"]}"), ImportOptions{})
			var at *PlaceError
			if !errors.As(err, &at) || !strings.HasPrefix(at.Error(), test.want) || at.Line != 2 {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if dump(t, s) != before {
				t.Fatalf("%s: something was written", test.want)
			}
		}
		// Within a tenant a domain may move: nobody else loses it.
		report := importText(t, s, `{"tenants": [{"slug": "a", "environments": [{"slug": "two", "domains": ["a.example"]}]}]}`)
		if report.Domains.Updated != 1 {
			t.Errorf("got %+v", report)
		}
		if r, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: "a.example"}); err != nil || r.Environment.Slug != "two" {
			t.Errorf("got %+v %v", r, err)
		}
	})
}

// Promise: a dry run reports what an import would do, and writes nothing.
func TestImportDryRun(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		for _, text := range []string{designDocument, strings.Replace(designDocument, `"burst": 20`, `"burst": 21`, 1)} {
			before := dump(t, s)
			dry, err := s.Import(t.Context(), strings.NewReader(text), ImportOptions{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			if dump(t, s) != before {
				t.Error("a dry run wrote something")
			}
			if wet := importText(t, s, text); fmt.Sprint(wet) != fmt.Sprint(dry) || !dry.Changed() {
				t.Errorf("dry run %+v, import %+v", dry, wet)
			}
		}
	})
}

// Promise: a domain that was waiting for verification counts as verified once the operator imports it.
func TestImportVerifiesDomains(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		importText(t, s, `{"tenants": [{"slug": "a"}]}`)
		run(t, s, `INSERT INTO sys_domain (hostname, environment_id, verification_token) SELECT 'a.example', id, 'tok' FROM sys_environment`)
		if _, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: "a.example"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a domain that nobody verified leads to a tenant: %v", err)
		}
		importText(t, s, `{"tenants": [{"slug": "a", "environments": [{"slug": "production", "domains": ["a.example"]}]}]}`)
		if _, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: "a.example"}); err != nil {
			t.Error(err)
		}
	})
}

// Promise: plans can be given as Go values, by the same way; problems then have a place and no line.
func TestImportDocument(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		doc := &Document{Plans: []DocumentPlan{
			{Name: "free", Quotas: &Quotas{APIRateLimit: 60}, Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9001"}}},
			{Name: "pro", Quotas: &Quotas{}},
		}}
		report, err := s.ImportDocument(t.Context(), doc, ImportOptions{Actor: "Caddyfile"})
		if err != nil || report.Plans.Created != 2 {
			t.Fatal(report, err)
		}
		before := dump(t, s)
		if report, err = s.ImportDocument(t.Context(), doc, ImportOptions{}); err != nil || report.Changed() || dump(t, s) != before {
			t.Errorf("the second time: %+v %v", report, err)
		}
		_, err = s.ImportDocument(t.Context(), &Document{Plans: []DocumentPlan{{Name: "free", Quotas: &Quotas{Burst: -1}}}}, ImportOptions{})
		var at *PlaceError
		if !errors.As(err, &at) || at.Place != "plans[0].quotas.burst" || at.Line != 0 {
			t.Error(err)
		}
		_, err = s.ImportDocument(t.Context(), &Document{Plans: []DocumentPlan{{Name: "free", Upstreams: []Upstream{{Address: "a b:1"}}}}}, ImportOptions{})
		if !errors.As(err, &at) || at.Place != "plans[0].upstreams[0]" {
			t.Error(err)
		}
	})
}

// Promise: a large import writes one row to the change log, which makes gateways forget everything, and keeps the flag
// that silences the triggers to itself.
func TestImportQuiet(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		s.quietAfter = 2000
		path := filepath.Join(t.TempDir(), "large.json")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(writeLarge(f, 1500, 2), f.Close()); err != nil {
			t.Fatal(err)
		}
		var phases []string
		report, err := s.ImportFile(t.Context(), path, ImportOptions{Progress: func(p ImportProgress) {
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
			if p.Phase != PhaseChecking && (p.TotalTenants != 1500 || p.TotalEnvironments != 3000 || p.Tenants > 1500) {
				t.Errorf("progress %+v", p)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if report.Tenants.Created != 1500 || report.Environments.Created != 3000 {
			t.Errorf("got %+v", report)
		}
		if phases[0] != PhaseChecking || phases[len(phases)-1] != PhaseWriting {
			t.Errorf("phases %q", phases)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_organization`); n != 1500 {
			t.Errorf("%d tenants", n)
		}
		list := changes(t, s, 0)
		if len(list) > s.quietAfter || list[len(list)-1] != "registry - - " {
			t.Errorf("%d changes, the last is %q", len(list), list[len(list)-1])
		}
		at := newest(t, s)
		run(t, s, `UPDATE sys_organization SET name = 'x' WHERE slug = ?1`, largeSlug(7))
		if got := changes(t, s, at); len(got) != 1 || !strings.HasSuffix(got[0], largeSlug(7)) {
			t.Errorf("after the import: changes %q", got)
		}
		if n := one[int](t, s, `SELECT (SELECT count(*) FROM sys_guard) + (SELECT count(*) FROM sys_import) + (SELECT count(*) FROM sys_import_chunk)`); n != 0 {
			t.Errorf("the import left %d rows behind", n)
		}
		if report, err := s.ImportFile(t.Context(), path, ImportOptions{}); err != nil || report.Tenants != (ImportCount{Updated: 1, Unchanged: 1499}) {
			t.Errorf("second import: %+v %v", report, err)
		}
	})
}

// Promise: an import that is cancelled in the middle leaves the registry as it was.
func TestImportCancelled(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		importText(t, s, designDocument)
		live := func() string {
			return one[string](t, s, `SELECT (SELECT count(*) FROM sys_organization) || ' ' || (SELECT count(*) FROM sys_environment) || ' ' || (SELECT count(*) FROM sys_change) || ' ' || (SELECT count(*) FROM sys_audit_log)`)
		}
		before := live()
		path := filepath.Join(t.TempDir(), "large.json")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(writeLarge(f, 2000, 1), f.Close()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = s.ImportFile(ctx, path, ImportOptions{Progress: func(p ImportProgress) {
			if p.Phase != PhaseChecking && p.Tenants >= 1000 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if after := live(); after != before {
			t.Errorf("before %s, after %s", before, after)
		}
	})
}
