package registry

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// sound fails the test unless every invariant holds.
func sound(t testing.TB, s *Store) {
	t.Helper()
	found, err := s.CheckInvariants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range found {
		t.Error(line)
	}
}

// Promise: in a sound registry the check finds nothing, on servers too.
func TestCheckInvariantsSound(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		sound(t, s)
		logWorld(t, s)
		run(t, s, `UPDATE sys_environment SET is_default = 1 WHERE slug = 'dev'`)
		run(t, s, `DELETE FROM sys_organization WHERE slug = 'initech'`)
		if _, err := s.TransitionTenant(t.Context(), operator, "acme", 0, Transition{Action: ActionSuspend}); err != nil {
			t.Fatal(err)
		}
		sound(t, s)
		if _, err := s.TrimChanges(t.Context(), s.now().AddDate(1, 0, 0)); err != nil {
			t.Fatal(err)
		}
		sound(t, s)
	})
}

// Promise: whatever breaks an invariant, with triggers and foreign keys off, is found and named.
func TestCheckInvariantsBroken(t *testing.T) {
	t.Parallel()
	base := withoutTriggers(t)
	const gone = `'0190a000-0000-7000-8000-0000000000ff'`
	for _, test := range []struct{ statement, want string }{
		{`UPDATE sys_environment SET is_default = 0 WHERE id = '` + idAcmeProd + `'`, "tenant acme has 0 default environments, not one"},
		{`DELETE FROM sys_environment WHERE id = '` + idGlobProd + `'`, "tenant globex has 0 default environments, not one"},
		{`UPDATE sys_environment SET organization_id = ` + gone + ` WHERE id = '` + idAcmeDev + `'`, "environment " + idAcmeDev + " belongs to tenant "},
		{`UPDATE sys_environment_database SET environment_id = ` + gone, "database shared belongs to environment "},
		{`UPDATE sys_database_credential SET environment_id = ` + gone, "credential " + credentialID + " belongs to environment "},
		{`UPDATE sys_database_credential SET rotated_from = ` + gone, "credential " + credentialID + " replaces credential "},
		{`UPDATE sys_database_credential SET status = 'revoked'`, "credential " + credentialID + " is revoked, which does not go with whether it holds a secret"},
		{`UPDATE sys_database_credential SET ciphertext = x''`, "credential " + credentialID + " is active, which does not go with whether it holds a secret"},
		{`UPDATE sys_environment_member SET environment_id = ` + gone, " belongs to environment "},
		{`UPDATE sys_domain SET environment_id = ` + gone + ` WHERE hostname = 'app.acme.test'`, "domain app.acme.test belongs to environment "},
		{`INSERT INTO sys_domain_claim (hostname, environment_id, token, next_check_at, expires_at) VALUES ('c.test', ` + gone + `, 'tokentokentokentokentoken', '2030-01-01T00:00:00Z', '2030-01-01T00:00:00Z')`, "claimed domain c.test belongs to environment "},
		{`UPDATE sys_api_key SET environment_id = ` + gone, "API key "},
		{`UPDATE sys_api_key SET rotated_from = ` + gone, " replaces API key "},
		{`UPDATE sys_session SET active_organization_id = ` + gone, " leads to tenant "},
		{`UPDATE sys_session SET active_environment_id = ` + gone, " leads to environment "},
		{`UPDATE sys_organization_alias SET organization_id = ` + gone + ` WHERE slug = 'oldacme'`, "former slug oldacme leads to tenant "},
		{`UPDATE sys_environment_alias SET environment_id = ` + gone, "former slug develop leads to environment "},
		{`UPDATE sys_environment_alias SET organization_id = '` + idGlobex + `'`, "former slug develop of an environment is tenant " + idGlobex},
		{`INSERT INTO sys_guard VALUES ('quiet')`, "the flag quiet of a single statement was left behind"},
		{`INSERT INTO sys_operation (id, actor, work) VALUES (` + gone + `, 'x', '{"a": []}')`, " was begun and not finished"},
		{`DELETE FROM sys_change WHERE seq = 3`, "the change log lacks 1 of its rows"},
		{`DELETE FROM sys_change WHERE seq = (SELECT max(seq) FROM sys_change)`, "the newest row of the change log is "},
		{`INSERT INTO sys_audit_log (actor, action, organization_id, detail) VALUES ('x', 'organization.update', '` + idAcme + `', '{"version": 99}')`, "the audit log has a later version of tenant acme: 99"},
		{`INSERT INTO sys_audit_log (actor, action, organization_id, environment_id, detail) VALUES ('x', 'environment.update', '` + idAcme + `', '` + idAcmeDev + `', '{"version": 99}')`, "the audit log has a later version of environment dev: 99"},
	} {
		path := t.TempDir() + "/registry.db"
		if err := os.WriteFile(path, base, 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, Options{URL: "file:" + path})
		s.ready.Store(true)
		conn, err := s.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{`PRAGMA foreign_keys = 0`, test.statement} {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		conn.Close()
		found, err := s.CheckInvariants(t.Context())
		if err != nil || !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, test.want) }) {
			t.Errorf("%s: %v, found %q", test.statement, err, found)
		}
	}
}

// withoutTriggers returns the file of a registry with records of all kinds and no triggers.
func withoutTriggers(t *testing.T) []byte {
	t.Helper()
	path := t.TempDir() + "/base.db"
	s, err := Open(Options{URL: "file:" + path})
	if err == nil {
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	logWorld(t, s)
	for _, name := range allText(t, s, `SELECT name FROM sqlite_master WHERE type = 'trigger'`) {
		run(t, s, `DROP TRIGGER `+name)
	}
	if err := s.Close(); err != nil { // writes everything into the file itself
		t.Fatal(err)
	}
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return base
}
