package registry

import (
	"context"
	"database/sql"
	"fmt"
)

// mostFindings is how many broken records [Store.CheckInvariants] names of each kind.
const mostFindings = 20

// invariant is a query that finds what must not be there, and says for people what each of its rows means.
type invariant struct {
	text  string // with %s for each of the query's two columns
	query string
}

// invariants hold after every change by any writer, as long as nobody has switched triggers or checks off.
var invariants = []invariant{
	{
		"tenant %s has %s default environments, not one",
		`SELECT o.slug, (SELECT count(*) FROM sys_environment e WHERE e.organization_id = o.id AND e.is_default = 1) AS n FROM sys_organization o WHERE n <> 1`,
	},
	{"environment %s belongs to tenant %s, which is not there", orphanOf("sys_environment", "id", "organization_id", "sys_organization")},
	{"database %s belongs to environment %s, which is not there", orphanOf("sys_environment_database", "name", "environment_id", "sys_environment")},
	{"credential %s belongs to environment %s, which is not there", orphanOf("sys_database_credential", "id", "environment_id", "sys_environment")},
	{"credential %s replaces credential %s, which is not there", orphanOf("sys_database_credential", "id", "rotated_from", "sys_database_credential")},
	{
		"credential %s is %s, which does not go with whether it holds a secret",
		`SELECT id, status FROM sys_database_credential WHERE (status = 'revoked') = (length(ciphertext) > 0)`,
	},
	{"member %s belongs to environment %s, which is not there", orphanOf("sys_environment_member", "user_id", "environment_id", "sys_environment")},
	{"domain %s belongs to environment %s, which is not there", orphanOf("sys_domain", "hostname", "environment_id", "sys_environment")},
	{"claimed domain %s belongs to environment %s, which is not there", orphanOf("sys_domain_claim", "hostname", "environment_id", "sys_environment")},
	{"API key %s belongs to environment %s, which is not there", orphanOf("sys_api_key", "id", "environment_id", "sys_environment")},
	{"API key %s replaces API key %s, which is not there", orphanOf("sys_api_key", "id", "rotated_from", "sys_api_key")},
	{"session %s leads to tenant %s, which is not there", orphanOf("sys_session", "id", "active_organization_id", "sys_organization")},
	{"session %s leads to environment %s, which is not there", orphanOf("sys_session", "id", "active_environment_id", "sys_environment")},
	{"former slug %s leads to tenant %s, which is not there", orphanOf("sys_organization_alias", "slug", "organization_id", "sys_organization")},
	{"former slug %s leads to environment %s, which is not there", orphanOf("sys_environment_alias", "slug", "environment_id", "sys_environment")},
	{
		"former slug %s of an environment is tenant %s's, but its environment is not",
		`SELECT a.slug, a.organization_id FROM sys_environment_alias a JOIN sys_environment e ON e.id = a.environment_id WHERE e.organization_id <> a.organization_id`,
	},
	{
		"usage of tenant %s is counted, which is not there%s",
		`SELECT DISTINCT u.organization_id, '' FROM sys_usage u WHERE NOT EXISTS (SELECT 1 FROM sys_organization o WHERE o.id = u.organization_id)`,
	},
	{"the flag %s of a single statement was left behind%s", `SELECT flag, '' FROM sys_guard`},
	{"operation %s was begun and not finished%s", `SELECT id, '' FROM sys_operation WHERE work <> '{}'`},
	{
		"the change log lacks %s of its rows after %s",
		`SELECT newest - oldest + 1 - n AS lost, oldest FROM (SELECT min(seq) AS oldest, max(seq) AS newest, count(*) AS n FROM sys_change) WHERE lost > 0`,
	},
	{
		"the newest row of the change log is %s, but %s was written",
		`SELECT c.newest, s.seq FROM (SELECT max(seq) AS newest FROM sys_change) c JOIN sqlite_sequence s ON s.name = 'sys_change' WHERE c.newest < s.seq`,
	},
	{"the audit log has a later version of tenant %s: %s", auditAhead("sys_organization", "organization_id", "organization.")},
	{"the audit log has a later version of environment %s: %s", auditAhead("sys_environment", "environment_id", "environment.")},
}

// orphanOf finds rows of a table whose owner is not there.
func orphanOf(table, name, column, owner string) string {
	return `SELECT t.` + name + `, t.` + column + ` FROM ` + table + ` t LEFT JOIN ` + owner + ` o ON o.id = t.` + column +
		` WHERE t.` + column + ` IS NOT NULL AND o.id IS NULL`
}

// auditAhead finds records that are older than the last row of the audit log about them says: a change that is told and
// was not made. A record that was made anew since, under the same id, counts its versions from the beginning. That a
// change was made and is not told shows only to one who knows all writers.
func auditAhead(table, column, action string) string {
	return `SELECT t.slug, a.detail->>'$.version' AS told FROM sys_audit_log a JOIN ` + table + ` t ON t.id = a.` + column + `
 WHERE a.seq IN (SELECT max(seq) FROM sys_audit_log WHERE action >= '` + action + `' AND action < '` + action[:len(action)-1] + `/'
   AND organization_id IS NOT NULL GROUP BY ` + column + `) AND told > t.version AND t.created_at <= a.at`
}

// CheckInvariants looks for what no writer can leave behind while the schema's triggers and checks are on: a tenant
// without exactly one default environment, a record whose owner is gone, a revoked credential that keeps its secret, a
// change log with holes, an audit log that tells of a change that was not made, half an operation. It returns one line for
// people for each finding, at most 20 of each kind; none for a sound registry. It only reads, each kind by a query over the
// whole registry: with a million tenants raise [Options.Timeout]. Errors: [ErrUnavailable].
func (s *Store) CheckInvariants(ctx context.Context) ([]string, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	var found []string
	for _, i := range invariants {
		err := s.query(ctx, func(rows *sql.Rows) error {
			var a, b sql.NullString
			err := rows.Scan(&a, &b)
			if err == nil {
				found = append(found, fmt.Sprintf(i.text, a.String, b.String))
			}
			return err
		}, i.query+` LIMIT ?1`, int64(mostFindings))
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
