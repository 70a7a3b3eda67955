package registry

import (
	"strings"
	"testing"
)

// Promise: the schema refuses what no gateway could serve, whoever writes it.
func TestSchemaRefuses(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		logWorld(t, s)
		const newID = `0190a000-0000-7000-8000-0000000009f1`
		organization := func(column, value string) string {
			return `UPDATE sys_organization SET ` + column + ` = ` + value + ` WHERE slug = 'acme'`
		}
		before := dump(t, s)
		for _, test := range []struct{ statement, want string }{
			{organization("slug", `'Acme'`), "CHECK"},
			{organization("slug", `'a--b'`), "CHECK"},
			{organization("slug", `'-a'`), "CHECK"},
			{organization("slug", `'a-'`), "CHECK"},
			{organization("slug", `''`), "CHECK"},
			{organization("slug", `'`+strings.Repeat("a", 64)+`'`), "CHECK"},
			{organization("slug", `'`+idAcme+`'`), "CHECK"},
			{organization("slug", `'globex'`), "UNIQUE"},
			{organization("name", `''`), "CHECK"},
			{organization("plan", `'Pro'`), "CHECK"},
			{organization("status", `'paused'`), "CHECK"},
			{organization("isolation_level", `'none'`), "CHECK"},
			{organization("subscription_expires_at", `'2030-01-01'`), "CHECK"},
			{organization("subscription_expires_at", `'2030-13-01T00:00:00Z'`), "CHECK"},
			{organization("api_rate_limit", `0`), "CHECK"},
			{organization("burst", `-1`), "CHECK"},
			{organization("burst", `9007199254740993`), "CHECK"},
			{organization("burst", `'many'`), "cannot store TEXT value in INTEGER column"},
			{organization("upstreams", `'127.0.0.1:80'`), "CHECK"},
			{organization("upstreams", `'{}'`), "CHECK"},
			{organization("metadata", `'[]'`), "CHECK"},
			{organization("metadata", `'{'`), "CHECK"},
			{organization("security_policy", `'"x"'`), "CHECK"},
			{organization("id", `'`+newID+`'`), "the id of an organization never changes"},
			{`INSERT INTO sys_organization (id, slug, name) VALUES ('0190A000-0000-7000-8000-0000000009F1', 'x', 'x')`, "CHECK"},
			{`INSERT INTO sys_organization (id, slug, name) VALUES ('00000000-0000-0000-0000-000000000000', 'x', 'x')`, "CHECK"},
			{`INSERT INTO sys_organization (id, slug, name) VALUES (NULL, 'x', 'x')`, "NOT NULL"},
			{`INSERT INTO sys_environment (id, organization_id, slug, name) VALUES ('` + newID + `', '` + newID + `', 'x', 'x')`, "FOREIGN KEY"},
			{`INSERT INTO sys_environment (id, organization_id, slug, name) VALUES ('` + newID + `', '` + idAcme + `', 'dev', 'x')`, "UNIQUE"},
			{`UPDATE sys_environment SET type = 'prod'`, "CHECK"},
			{`UPDATE sys_environment SET status = 'destroying'`, "CHECK"},
			{`UPDATE sys_environment SET is_default = 0 WHERE id = '` + idAcmeProd + `'`, "keeps one default environment"},
			{`UPDATE sys_environment SET organization_id = '` + idGlobex + `' WHERE id = '` + idAcmeProd + `'`, "keeps one default environment"},
			{`DELETE FROM sys_environment WHERE id = '` + idAcmeProd + `'`, "the default environment cannot be deleted"},
			{`UPDATE sys_environment_database SET name = 'other'`, "the name of a database never changes"},
			{`UPDATE sys_environment_database SET driver = 'mysql'`, "CHECK"},
			{`INSERT INTO sys_environment_database (environment_id, driver, name) VALUES ('` + idAcmeProd + `', 'turso', 'second')`, "UNIQUE"},
			{`UPDATE sys_database_credential SET scope = 'all'`, "CHECK"},
			{`UPDATE sys_database_credential SET status = 'old'`, "CHECK"},
			{`INSERT INTO sys_database_credential (id, environment_id, ciphertext, key_id) VALUES ('` + newID + `', '` + idAcmeDev + `', x'01', 'k')`, "UNIQUE"},
			{`UPDATE sys_environment_member SET role = 'admin'`, "CHECK"},
			{`INSERT INTO sys_domain (hostname, environment_id) VALUES ('App.acme.test', '` + idAcmeDev + `')`, "CHECK"},
			{`INSERT INTO sys_domain (hostname, environment_id) VALUES ('app.acme.test:80', '` + idAcmeDev + `')`, "CHECK"},
			{`INSERT INTO sys_domain (hostname, environment_id) VALUES ('app.acme.test.', '` + idAcmeDev + `')`, "CHECK"},
			{`INSERT INTO sys_domain (hostname, environment_id) VALUES ('app.acme.test', '` + idGlobProd + `')`, "UNIQUE"},
			{`UPDATE sys_api_key SET key_hash = 'tg_secret' WHERE name = 'key'`, "CHECK"},
			{`UPDATE sys_session SET token_hash = 'secret'`, "CHECK"},
			{`UPDATE sys_audit_log SET actor = 'nobody'`, "the audit log is never rewritten"},
			{`DELETE FROM sys_registry`, "identity cannot be deleted"},
			{`UPDATE sys_plan SET name = 'A B' WHERE name = 'pro'`, "CHECK"},
			{`INSERT INTO sys_usage (organization_id, period, period_start, used) VALUES ('` + idAcme + `', 'week', '2026-01-01T00:00:00Z', 1)`, "CHECK"},
		} {
			err := try(t, s, test.statement)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %s", test.statement, err, test.want)
			}
		}
		if dump(t, s) != before {
			t.Error("a refused statement left something behind")
		}
	})
}

// Promise: whatever a plain SQL client does with defaults, a tenant with environments has exactly one.
func TestSchemaDefault(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'a', 'a')`, idAcme)
		environment := func(n, slug string, isDefault int) string {
			return `INSERT INTO sys_environment (id, organization_id, slug, name, is_default) VALUES ('0190a000-0000-7000-8000-0000000000` + n + `', '` + idAcme + `', '` + slug + `', 'x', ` +
				string(rune('0'+isDefault)) + `)`
		}
		for _, step := range []struct{ statement, want string }{
			{environment("e1", "one", 0), "a(one*)"}, // the first is the default
			{environment("e2", "two", 0), "a(one* two)"},
			{environment("e3", "three", 1), "a(one three* two)"},
			{`UPDATE sys_environment SET is_default = 1 WHERE slug = 'two'`, "a(one three two*)"},
			{`UPDATE sys_environment SET is_default = 1 WHERE slug = 'two'`, "a(one three two*)"},
			{`DELETE FROM sys_environment WHERE slug = 'one'`, "a(three two*)"},
			{`REPLACE ` + strings.TrimPrefix(environment("e3", "three", 1), "INSERT "), "a(three* two)"},
			{`REPLACE ` + strings.TrimPrefix(environment("e3", "three", 0), "INSERT "), "a(three* two)"},
			{`UPDATE sys_environment SET is_default = 1`, ""},
		} {
			run(t, s, step.statement)
			got := state(t, s)
			if step.want != "" && got != step.want || strings.Count(got, "*") != 1 {
				t.Errorf("%s: got %s, want %s", step.statement, got, step.want)
			}
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_guard`); n != 0 {
			t.Errorf("%d guards left", n)
		}
	})
}

// Promise: SQLite clients of other versions agree on what the checks say: before 3.42 json_valid(NULL) was 0, so that a
// check which left NULL to it would refuse rows of ours in such a client.
func TestSchemaChecksAreOfAnyVersion(t *testing.T) {
	for _, m := range migrations() {
		for _, statement := range m.statements {
			for column := range strings.SplitSeq(statement, "json_valid(") {
				before, _, found := strings.Cut(statement, "json_valid("+column)
				name, _, _ := strings.Cut(column, ")")
				if found && !strings.HasSuffix(before, name+" IS NULL OR ") {
					t.Errorf("%s: json_valid(%s) sees NULL", m.name, name)
				}
			}
		}
	}
}

// Promise: after all that an import, a lookup and a plain SQL client do, the file is sound: checks, indexes, foreign keys.
func TestIntegrity(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	logWorld(t, s)
	run(t, s, `UPDATE sys_environment SET is_default = 1 WHERE slug = 'dev'`)
	run(t, s, `DELETE FROM sys_organization WHERE slug = 'initech'`)
	if got := one[string](t, s, `SELECT group_concat(integrity_check) FROM pragma_integrity_check`); got != "ok" {
		t.Error(got)
	}
	if n := one[int](t, s, `SELECT count(*) FROM pragma_foreign_key_check`); n != 0 {
		t.Errorf("%d rows lead nowhere", n)
	}
}
