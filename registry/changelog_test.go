package registry

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// rewrittenColumn is a column and what to set it to.
type rewrittenColumn struct {
	column, value string
	// want is what the change log gets; nil stands for the one row of the table's case.
	want []string
}

// loggedTable is a table whose changes gateways have to hear of.
type loggedTable struct {
	table, where string
	// row is what an update of one row writes to the log.
	row string
	// logged columns alter a snapshot or an admission, silent ones do not, and fixed ones cannot change.
	logged []rewrittenColumn
	silent []rewrittenColumn
	fixed  []string
}

func quotaColumnsTo(value string) (list []rewrittenColumn) {
	for column := range strings.SplitSeq(quotaColumns, ",") {
		list = append(list, rewrittenColumn{column: strings.TrimSpace(column), value: value})
	}
	return list
}

const at2031 = `'2031-01-01T00:00:00Z'`

// stamps are in every table.
var stamps = []rewrittenColumn{{column: "version", value: "99"}, {column: "created_at", value: at2031}, {column: "updated_at", value: at2031}}

func loggedTables() []loggedTable {
	text := func(columns ...string) (list []rewrittenColumn) {
		for _, c := range columns {
			list = append(list, rewrittenColumn{column: c, value: `'changed'`})
		}
		return list
	}
	return []loggedTable{
		{
			table: "sys_plan", where: `name = 'pro'`, row: "plan - - pro",
			logged: append(quotaColumnsTo("7"),
				rewrittenColumn{"upstreams", `'["h:1"]'`, nil}, rewrittenColumn{"name", `'pro2'`, []string{"plan - - pro", "plan - - pro2"}}),
			silent: stamps,
		},
		{
			table: "sys_organization", where: `id = '` + idAcme + `'`, row: "organization 01 - acme",
			logged: append(quotaColumnsTo("7"),
				rewrittenColumn{"slug", `'acme2'`, []string{"organization 01 - acme", "organization 01 - acme2"}},
				rewrittenColumn{"name", `'x'`, nil}, rewrittenColumn{"plan", `'x'`, nil}, rewrittenColumn{"status", `'suspended'`, nil},
				rewrittenColumn{"isolation_level", `'shared_schema'`, nil}, rewrittenColumn{"subscription_expires_at", at2031, nil},
				rewrittenColumn{"upstreams", `'["h:1"]'`, nil}, rewrittenColumn{"metadata", `'{"x":"y"}'`, nil}, rewrittenColumn{"security_policy", `'{}'`, nil}),
			silent: append(append(text("status_reason"), rewrittenColumn{"status_changed_at", at2031, nil}), stamps...),
			fixed:  []string{"id"},
		},
		{
			table: "sys_organization_alias", where: `slug = 'oldacme'`, row: "organization_alias 01 - oldacme",
			logged: []rewrittenColumn{
				{"slug", `'older'`, []string{"organization_alias 01 - oldacme", "organization_alias 01 - older"}},
				{"organization_id", `'` + idGlobex + `'`, []string{"organization_alias 01 - oldacme", "organization_alias 02 - oldacme"}},
			},
			silent: append(stamps[1:2:2], rewrittenColumn{"expires_at", at2031, nil}),
		},
		{
			table: "sys_environment", where: `id = '` + idAcmeDev + `'`, row: "environment 01 12 dev",
			logged: append(quotaColumnsTo("7"),
				rewrittenColumn{"slug", `'dev2'`, []string{"environment 01 12 dev", "environment 01 12 dev2"}},
				rewrittenColumn{"organization_id", `'` + idGlobex + `'`, []string{"environment 01 12 dev", "environment 02 12 dev"}},
				rewrittenColumn{"is_default", "1", []string{"environment 01 11 production", "environment 01 12 dev"}},
				rewrittenColumn{"name", `'x'`, nil}, rewrittenColumn{"type", `'test'`, nil}, rewrittenColumn{"status", `'suspended'`, nil},
				rewrittenColumn{"region", `'x'`, nil}, rewrittenColumn{"upstreams", `'["h:1"]'`, nil}, rewrittenColumn{"metadata", `'{"x":"y"}'`, nil}),
			silent: append(append(text("status_reason"), rewrittenColumn{"status_changed_at", at2031, nil}), stamps...),
			fixed:  []string{"id"},
		},
		{
			table: "sys_environment_alias", where: `slug = 'develop'`, row: "environment_alias 01 12 develop",
			logged: []rewrittenColumn{
				{"slug", `'older'`, []string{"environment_alias 01 12 develop", "environment_alias 01 12 older"}},
				{"organization_id", `'` + idGlobex + `'`, []string{"environment_alias 01 12 develop", "environment_alias 02 12 develop"}},
				{"environment_id", `'` + idAcmeProd + `'`, []string{"environment_alias 01 12 develop", "environment_alias 01 11 develop"}},
			},
			silent: append(stamps[1:2:2], rewrittenColumn{"expires_at", at2031, nil}),
		},
		{
			table: "sys_environment_database", where: `environment_id = '` + idAcmeProd + `'`, row: "environment_database 01 11 ",
			logged: append(text("schema_name", "url"), rewrittenColumn{"driver", `'sqlite'`, nil}),
			silent: append(append(text("region", "status_reason"), rewrittenColumn{"status", `'failed'`, nil}), stamps...),
			fixed:  []string{"environment_id", "name"},
		},
		{
			table: "sys_database_credential", where: `id LIKE '%0301'`, row: "database_credential 01 12 " + credentialID,
			logged: append(text("key_id"),
				rewrittenColumn{"id", `'0190a000-0000-7000-8000-000000000399'`, []string{"database_credential 01 12 " + credentialID, "database_credential 01 12 0190a000-0000-7000-8000-000000000399"}},
				rewrittenColumn{"environment_id", `'` + idAcmeProd + `'`, []string{"database_credential 01 12 " + credentialID, "database_credential 01 11 " + credentialID}},
				rewrittenColumn{"scope", `'readonly'`, nil}, rewrittenColumn{"status", `'rotating'`, nil}, rewrittenColumn{"ciphertext", `x'02'`, nil},
				rewrittenColumn{"expires_at", at2031, nil}, rewrittenColumn{"revoked_at", at2031, nil}),
			silent: append([]rewrittenColumn{{"rotated_from", "NULL", nil}}, stamps...),
		},
		{
			table: "sys_domain", where: `hostname = 'dev.acme.test'`, row: "domain 01 12 dev.acme.test",
			logged: []rewrittenColumn{
				{"hostname", `'dev2.acme.test'`, []string{"domain 01 12 dev.acme.test", "domain 01 12 dev2.acme.test"}},
				{"environment_id", `'` + idGlobProd + `'`, []string{"domain 01 12 dev.acme.test", "domain 02 21 dev.acme.test"}},
				{"verified_at", "NULL", nil},
			},
			silent: append(append(text("verification_token"), rewrittenColumn{"verification_method", `'http'`, nil}, rewrittenColumn{"checked_at", at2031, nil}), stamps...),
		},
		{
			table: "sys_environment_member", where: `user_id = 'u1'`, row: "environment_member 01 12 u1",
			logged: []rewrittenColumn{
				{"user_id", `'u2'`, []string{"environment_member 01 12 u1", "environment_member 01 12 u2"}},
				{"environment_id", `'` + idAcmeProd + `'`, []string{"environment_member 01 12 u1", "environment_member 01 11 u1"}},
				{"role", `'env_viewer'`, nil},
			},
			silent: append(text("invited_by"), stamps...),
		},
		{
			table: "sys_api_key", where: `name = 'key'`, row: "api_key 01 12 " + hashOf("key"),
			logged: append(quotaColumnsTo("7")[2:7],
				rewrittenColumn{"key_hash", `'` + hashOf("new") + `'`, []string{"api_key 01 12 " + hashOf("key"), "api_key 01 12 " + hashOf("new")}},
				rewrittenColumn{"environment_id", `'` + idGlobProd + `'`, []string{"api_key 01 12 " + hashOf("key"), "api_key 02 21 " + hashOf("key")}},
				rewrittenColumn{"id", `'0190a000-0000-7000-8000-000000000199'`, nil},
				rewrittenColumn{"user_id", `'u'`, nil}, rewrittenColumn{"role", `'env_user'`, nil}, rewrittenColumn{"scopes", `'["read"]'`, nil},
				rewrittenColumn{"expires_at", at2031, nil}, rewrittenColumn{"revoked_at", at2031, nil}),
			silent: append(append(text("created_by"), rewrittenColumn{"name", `'key'`, nil}, rewrittenColumn{"last4", `'abcd'`, nil},
				rewrittenColumn{"last_used_at", at2031, nil}, rewrittenColumn{"rotated_from", "NULL", nil}), stamps...),
		},
		{
			table: "sys_session", where: `token_hash = '` + hashOf("both") + `'`, row: "session 01 12 " + hashOf("both"),
			logged: []rewrittenColumn{
				{"token_hash", `'` + hashOf("new") + `'`, []string{"session 01 12 " + hashOf("both"), "session 01 12 " + hashOf("new")}},
				{"active_organization_id", `'` + idGlobex + `'`, []string{"session 01 12 " + hashOf("both"), "session 02 12 " + hashOf("both")}},
				{"active_environment_id", "NULL", []string{"session 01 12 " + hashOf("both"), "session 01 - " + hashOf("both")}},
				{"id", `'0190a000-0000-7000-8000-000000000299'`, nil},
				{"user_id", `'x'`, nil},
				{"expires_at", at2031, nil},
				{"revoked_at", at2031, nil},
				{"authenticated_at", at2031, nil},
				{"mfa", "1", nil},
				{"sso", "1", nil},
			},
			silent: append(text("ip_address", "user_agent"), stamps...),
		},
	}
}

const credentialID = "0190a000-0000-7000-8000-000000000301"

// logWorld is world with a row in every table that has changes.
func logWorld(t testing.TB, s *Store) {
	t.Helper()
	s.now = noon
	world(t, s)
	run(t, s, `INSERT INTO sys_environment_member (environment_id, user_id, role) VALUES (?1, 'u1', 'env_user')`, idAcmeDev)
	run(t, s, `INSERT INTO sys_database_credential (id, environment_id, ciphertext, key_id) VALUES (?1, ?2, x'01', 'k')`, credentialID, idAcmeDev)
}

// onWriters runs a test on a file and on a server by HTTP, which is also how a store with WebSockets writes.
func onWriters(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) { test(t, migrated(t, b.open(t))) })
	}
}

// Promise: every column that alters a snapshot or an admission writes to the change log when any SQL client changes it:
// old and new name of what was renamed or moved, nothing for a value that stays the same, nothing for any other column.
// And every column of these tables is one or the other here.
func TestChangeLogColumns(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		logWorld(t, s)
		for _, c := range loggedTables() {
			var known []string
			for _, r := range slices.Concat(c.logged, c.silent) {
				known = append(known, r.column)
			}
			known = append(known, c.fixed...)
			var columns []string
			err := s.queryOn(t.Context(), s.write, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				columns = append(columns, name)
				return err
			}, `SELECT name FROM pragma_table_info(?1)`, c.table)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(known)
			slices.Sort(columns)
			if !slices.Equal(known, columns) {
				t.Errorf("%s has columns %q, this test knows %q", c.table, columns, known)
			}
			for _, r := range c.logged {
				want := r.want
				if want == nil {
					want = []string{c.row}
				}
				check(t, s, c, r, want)
			}
			for _, r := range c.silent {
				check(t, s, c, r, nil)
			}
			for _, column := range c.fixed {
				if err := try(t, s, `UPDATE `+c.table+` SET `+column+` = '0190a000-0000-7000-8000-0000000009ff' WHERE `+c.where); err == nil {
					t.Errorf("%s.%s can be changed", c.table, column)
				}
			}
		}
	})
}

// check sets a column in a transaction, looks at the change log, sets it again to the same value, and undoes it all.
func check(t *testing.T, s *Store, c loggedTable, r rewrittenColumn, want []string) {
	t.Helper()
	undo := fmt.Errorf("undo")
	err := s.transact(t.Context(), func(tx *sql.Tx) error {
		logged := func() (list []string) {
			err := s.queryOn(t.Context(), tx, func(rows *sql.Rows) error {
				var entity string
				var tenant, environment, key sql.NullString
				err := rows.Scan(&entity, &tenant, &environment, &key)
				list = append(list, fmt.Sprintf("%s %s %s %s", entity, short(storedOrNil(tenant)), short(storedOrNil(environment)), key.String))
				return err
			}, `SELECT entity, organization_id, environment_id, lookup_key FROM sys_change ORDER BY seq`)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		update := func() {
			// By rowid or primary key: the condition may no longer hold the second time.
			if _, err := s.execOn(t.Context(), tx, `UPDATE `+c.table+` SET `+r.column+` = `+r.value+` WHERE `+c.where); err != nil {
				t.Errorf("%s.%s: %v", c.table, r.column, err)
			}
		}
		before := logged()
		update()
		after := logged()
		if got := after[len(before):]; !slices.Equal(got, want) {
			t.Errorf("%s.%s = %s: got %q, want %q", c.table, r.column, r.value, got, want)
		}
		update()
		if got := logged()[len(after):]; len(got) > 0 {
			t.Errorf("%s.%s = %s, which it was before: got %q", c.table, r.column, r.value, got)
		}
		return undo
	})
	if err == nil || !strings.Contains(err.Error(), "undo") {
		t.Fatal(err)
	}
}

func storedOrNil(s sql.NullString) uuid.UUID { return storedID(s.String) }

// Promise: what comes and what goes is in the change log, all that goes along with a tenant too, with its tenant; new
// sessions are not.
func TestChangeLogRows(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		logWorld(t, s)
		var begun []string
		for _, line := range changes(t, s, 0) {
			begun = append(begun, strings.SplitN(line, " ", 2)[0])
		}
		for _, c := range loggedTables() {
			entity, _, _ := strings.Cut(c.row, " ")
			if entity != strings.TrimPrefix(c.table, "sys_") {
				t.Errorf("%s logs as %s", c.table, entity)
			}
			if slices.Contains(begun, entity) != (entity != "session") {
				t.Errorf("inserts into %s: logged %t", c.table, slices.Contains(begun, entity))
			}
		}
		// One by one.
		for _, c := range loggedTables() {
			if c.table == "sys_organization" || c.table == "sys_environment" || c.table == "sys_plan" {
				continue
			}
			at := newest(t, s)
			run(t, s, `DELETE FROM `+c.table+` WHERE `+c.where)
			if got := changes(t, s, at); !slices.Equal(got, []string{c.row}) {
				t.Errorf("delete from %s: got %q, want %q", c.table, got, c.row)
			}
		}
		// A tenant with all that is left of it.
		run(t, s, `INSERT INTO sys_usage (organization_id, period, period_start, used) VALUES (?1, 'day', '2026-01-01T00:00:00Z', 1)`, idAcme)
		at := newest(t, s)
		run(t, s, `DELETE FROM sys_organization WHERE id = ?1`, idAcme)
		got := changes(t, s, at)
		for _, want := range []string{
			"organization 01 - acme", "environment 01 11 production", "environment 01 12 dev", "domain 01 11 app.acme.test",
			"domain 01 12 unverified.test", "api_key 01 12 " + hashOf("later"), "session 01 - " + hashOf("in acme"), "session - 12 " + hashOf("in dev"),
			"organization_alias 01 - globex",
		} {
			if !slices.Contains(got, want) {
				t.Errorf("deleting a tenant does not log %q: %q", want, got)
			}
		}
		for _, table := range []string{"sys_environment", "sys_organization_alias", "sys_environment_alias", "sys_usage"} {
			if n := one[int](t, s, `SELECT count(*) FROM `+table+` WHERE organization_id = ?1`, idAcme); n != 0 {
				t.Errorf("%d rows of %s outlive their tenant", n, table)
			}
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_domain WHERE hostname LIKE '%acme%'`); n != 0 {
			t.Errorf("%d domains outlive their tenant", n)
		}
	})
}

// Promise: REPLACE, which removes what is in its way without telling delete triggers, is covered as well.
func TestChangeLogReplace(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		logWorld(t, s)
		for _, test := range []struct {
			statement string
			want      []string
		}{
			{`REPLACE INTO sys_plan (name, burst) VALUES ('pro', 7)`, []string{"plan - - pro"}},
			{`REPLACE INTO sys_organization (id, slug, name) VALUES ('` + idGlobex + `', 'globex2', 'x')`, []string{"organization 02 - globex", "organization 02 - globex2"}},
			{`REPLACE INTO sys_environment (id, organization_id, slug, name) VALUES ('` + idAcmeDev + `', '` + idAcme + `', 'dev3', 'x')`, []string{"environment 01 12 dev", "environment 01 12 dev3"}},
			{`REPLACE INTO sys_domain (hostname, environment_id) VALUES ('dev.acme.test', '` + idGlobProd + `')`, []string{"domain 01 12 dev.acme.test", "domain 02 21 dev.acme.test"}},
			{
				`REPLACE INTO sys_api_key (id, environment_id, name, key_hash) VALUES ('0190a000-0000-7000-8000-000000000101', '` + idGlobProd + `', 'k', '` + hashOf("other") + `')`,
				[]string{"api_key 01 12 " + hashOf("key"), "api_key 02 21 " + hashOf("other")},
			},
			{
				`REPLACE INTO sys_session (id, token_hash, user_id, expires_at) VALUES ('0190a000-0000-7000-8000-000000000203', '` + hashOf("other") + `', 'u', '2030-01-01T00:00:00Z')`,
				[]string{"session 01 12 " + hashOf("both")},
			},
		} {
			at := newest(t, s)
			run(t, s, test.statement)
			if got := changes(t, s, at); !slices.Equal(got, test.want) {
				t.Errorf("%s: got %q, want %q", test.statement, got, test.want)
			}
		}
	})
}

// Promise: a plain SQL client on the file, with SQLite's own settings (no foreign keys, no WAL of its own, no timeout),
// is noticed like any other writer, and a tenant that it deletes is gone with all its parts.
func TestPlainClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	s := migrated(t, Options{URL: "file:" + path})
	logWorld(t, s)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, test := range []struct {
		statement string
		want      []string
	}{
		{`UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'`, []string{"organization 01 - acme"}},
		{`UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'`, nil},
		{`UPDATE sys_plan SET api_rate_limit = 1`, []string{"plan - - free", "plan - - pro"}},
		{`DELETE FROM sys_organization WHERE slug = 'initech'`, []string{"organization 03 - initech", "environment 03 31 production"}},
	} {
		at := newest(t, s)
		if _, err := db.ExecContext(t.Context(), test.statement); err != nil {
			t.Fatal(err)
		}
		got := changes(t, s, at)
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.statement, got, test.want)
		}
	}
	if n := one[int](t, s, `SELECT version FROM sys_organization WHERE slug = 'acme'`); n < 3 {
		t.Errorf("version %d: updates by plain clients do not count", n)
	}
	if since := one[string](t, s, `SELECT status_changed_at FROM sys_organization WHERE slug = 'acme'`); since == "" {
		t.Error("since when it is suspended is not noted")
	}
}

// Promise: positions, limits and the oldest row are such that a poller notices everything that it has missed.
func TestChanges(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		read := func(after int64, limit int) Changes {
			t.Helper()
			c, err := s.Changes(t.Context(), after, limit)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		empty := read(0, 0)
		if empty.Registry == uuid.Nil || empty.Oldest != 1 || empty.Newest != 0 || len(empty.List) != 0 {
			t.Errorf("an empty log: %+v", empty)
		}
		for i := range 25 {
			run(t, s, `INSERT INTO sys_plan (name) VALUES (?1)`, fmt.Sprintf("p%02d", i))
		}
		c := read(0, 10)
		if c.Registry != empty.Registry || c.Oldest != 1 || c.Newest != 25 || len(c.List) != 10 || c.List[0].Seq != 1 || c.List[9] != (Change{Seq: 10, Entity: "plan", Key: "p09"}) {
			t.Errorf("got %+v", c)
		}
		if c = read(20, 10); len(c.List) != 5 || c.List[4].Seq != 25 {
			t.Errorf("got %+v", c)
		}
		if c = read(25, 10); len(c.List) != 0 || c.Newest != 25 || c.Oldest != 1 {
			t.Errorf("an idle poll: %+v", c)
		}
		if c = read(1000, 10); len(c.List) != 0 || c.Newest != 25 {
			t.Errorf("a position from a later backup: %+v", c)
		}
		if c = read(-5, 10); len(c.List) != 10 {
			t.Errorf("a negative position: %+v", c)
		}

		// What is young stays.
		if n, err := s.TrimChanges(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("trimmed %d %v", n, err)
		}
		run(t, s, `UPDATE sys_change SET changed_at = '2020-01-01T00:00:00.000Z' WHERE seq <= 7`)
		if n, err := s.TrimChanges(t.Context(), time.Now().Add(-time.Hour)); n != 7 || err != nil {
			t.Errorf("trimmed %d %v", n, err)
		}
		if c = read(0, 100); c.Oldest != 8 || c.Newest != 25 || len(c.List) != 18 || c.List[0].Seq != 8 {
			t.Errorf("after trimming: %+v", c)
		}
		if n, err := s.TrimChanges(t.Context(), time.Now().Add(time.Hour)); n != 18 || err != nil {
			t.Errorf("trimmed %d %v", n, err)
		}
		if c = read(0, 100); c.Oldest != 26 || c.Newest != 25 || len(c.List) != 0 {
			t.Errorf("an empty log again: %+v", c)
		}
		run(t, s, `INSERT INTO sys_plan (name) VALUES ('last')`)
		if c = read(25, 100); c.Newest != 26 || len(c.List) != 1 || c.List[0].Seq != 26 || c.Oldest != 26 {
			t.Errorf("a number was given twice: %+v", c)
		}
	})
}

// Promise: trimming a long log goes through it in pieces, to its end.
func TestTrimChangesBatches(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	const rows = 2*trimBatch + 17
	run(t, s, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
 INSERT INTO sys_change (entity, changed_at) SELECT 'plan', '2020-01-01T00:00:00.000Z' FROM n`, rows)
	if n, err := s.TrimChanges(t.Context(), time.Now()); n != rows || err != nil {
		t.Errorf("trimmed %d %v", n, err)
	}
}
