package registry

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// The parts of the queries that Resolve makes. ?1 is the reference's key.
const (
	liveDomain = ` FROM sys_domain WHERE hostname = ?1 AND verified_at IS NOT NULL`
	tenantOf   = `SELECT organization_id FROM sys_environment WHERE id = `
)

// lookup says how the keys of one kind lead to tenant and environment.
type lookup struct {
	// tenant and environment are SQL expressions. An empty environment means the tenant's default one.
	tenant, environment string
	// bound keys lead to their environment alone; naming another one finds nothing.
	bound bool
	// valid tells keys that can be in the registry from others, which need no query.
	valid func(string) bool
}

var lookups = map[Kind]lookup{
	KindTenantID:      {tenant: `?1`, valid: CanonicalID},
	KindSlug:          {tenant: `(SELECT id FROM sys_organization WHERE slug = ?1)`, valid: ValidSlug},
	KindEnvironmentID: {tenant: `(` + tenantOf + `?1)`, environment: `?1`, bound: true, valid: CanonicalID},
	KindHost: {
		tenant:      `(` + tenantOf + `(SELECT environment_id` + liveDomain + `))`,
		environment: `(SELECT environment_id` + liveDomain + `)`,
		valid:       func(s string) bool { return s != "" && len(s) <= MaxHostLength },
	},
}

// Resolve looks up which tenant and environment a reference means, and returns the snapshot that serves its requests.
// What is suspended or archived is found too; its status tells. The error is a [*NotFoundError], or it wraps
// [ErrUnavailable].
func (s *Store) Resolve(ctx context.Context, ref Reference) (*Resolved, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	if ref.Kind.ofCredential() {
		if !validCredentialKey(ref) {
			return nil, &NotFoundError{}
		}
		return s.resolveCredential(ctx, ref)
	}
	l, ok := lookups[ref.Kind]
	if !ok || !l.valid(ref.Key) {
		return nil, &NotFoundError{}
	}
	if condition, ok := l.condition(ref.Environment); ok {
		r, err := s.selectResolved(ctx, condition, l.args(ref.Key, ref.Environment)...)
		if r != nil || err != nil {
			return r, err
		}
	}
	return s.resolveAlias(ctx, l, ref)
}

// resolveAlias goes on when there is no such tenant and environment: a former slug may lead there, and if not, the
// error says which of the two is missing.
func (s *Store) resolveAlias(ctx context.Context, l lookup, ref Reference) (*Resolved, error) {
	var found sql.NullString
	scan := func(rows *sql.Rows) error { return rows.Scan(&found) }
	query, args := `SELECT id FROM sys_organization WHERE id = `+l.tenant, l.args(ref.Key, "")
	now := formatTime(s.now()) // a former slug may have expired that nobody has removed yet
	if ref.Kind == KindSlug {
		query = `SELECT coalesce(` + l.tenant + `, (SELECT organization_id FROM sys_organization_alias WHERE slug = ?1
  AND (expires_at IS NULL OR expires_at > ?2)))`
		args = append(args, now)
	}
	if err := s.query(ctx, scan, query, args...); err != nil {
		return nil, err
	}
	if !found.Valid {
		return nil, &NotFoundError{}
	}
	tenant, err := uuid.Parse(found.String)
	if err != nil {
		return nil, s.unavailable("it holds a tenant whose id is no UUID: " + strconv.Quote(found.String))
	}
	if l.bound {
		return nil, &NotFoundError{Tenant: tenant}
	}
	if ref.Kind == KindHost {
		// The host name may have come after the first query: then its environment is there, too.
		if condition, ok := l.condition(ref.Environment); ok {
			r, err := s.selectResolved(ctx, condition, l.args(ref.Key, ref.Environment)...)
			if r != nil || err != nil {
				return r, err
			}
		}
	}
	// The tenant may have been found by its former slug, so the first query is due once more, by its id.
	byID := lookups[KindTenantID]
	if condition, ok := byID.condition(ref.Environment); ok && ref.Kind == KindSlug {
		r, err := s.selectResolved(ctx, condition, byID.args(found.String, ref.Environment)...)
		if r != nil || err != nil {
			return r, err
		}
	}
	if ValidSlug(ref.Environment) {
		r, err := s.selectResolved(ctx, `environment_id = (SELECT environment_id FROM sys_environment_alias
  WHERE organization_id = ?1 AND slug = ?2 AND (expires_at IS NULL OR expires_at > ?3)) AND organization_id = ?1`, found.String, ref.Environment, now)
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, s.missing(ctx, tenant, ref.Environment)
}

// missing returns the error for a tenant that was there and has no such environment. Every tenant has a default one: if that is
// not there, the tenant may have been removed since.
func (s *Store) missing(ctx context.Context, tenant uuid.UUID, environment string) error {
	if environment != "" {
		return &NotFoundError{Tenant: tenant}
	}
	missing := new(NotFoundError)
	err := s.query(ctx, func(*sql.Rows) error {
		missing.Tenant = tenant
		return nil
	}, `SELECT 1 FROM sys_organization WHERE id = ?1`, tenant.String())
	if err != nil {
		return err
	}
	return missing
}

// condition returns the WHERE of the query for an environment that is named by id, by slug, or not at all; false when
// the name can be neither.
func (l lookup) condition(environment string) (string, bool) {
	const next = "?2"
	switch {
	case environment == "" && l.environment == "":
		return `organization_id = ` + l.tenant + ` AND is_default = 1`, true
	case environment == "":
		return `environment_id = ` + l.environment, true
	case CanonicalID(environment) && l.bound:
		return `environment_id = ` + l.environment + ` AND environment_id = ` + next, true
	case CanonicalID(environment):
		return `environment_id = ` + next + ` AND organization_id = ` + l.tenant, true
	case ValidSlug(environment) && l.bound:
		return `environment_id = ` + l.environment + ` AND environment_slug = ` + next, true
	case ValidSlug(environment):
		return `organization_id = ` + l.tenant + ` AND environment_slug = ` + next, true
	}
	return "", false
}

// args returns what the condition's parameters stand for.
func (l lookup) args(key, environment string) []any {
	args := []any{key}
	if environment != "" {
		args = append(args, environment)
	}
	return args
}

// selectResolved returns the one row that meets a condition, or nil.
func (s *Store) selectResolved(ctx context.Context, condition string, args ...any) (r *Resolved, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		row := rowPool.Get().(*resolvedRow)
		defer row.release()
		if err := rows.Scan(row.targets[:]...); err != nil {
			return err
		}
		if r, err = row.resolved(&s.parsed); err != nil {
			return s.unavailable("it holds a record that cannot be read: " + err.Error())
		}
		return nil
	}, `SELECT * FROM sys_resolved WHERE `+condition, args...)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// validCredentialKey tells keys that can be in the registry from others, which need no query.
func validCredentialKey(ref Reference) bool {
	switch ref.Kind {
	case KindMember:
		return ref.Key != "" && len(ref.Key) <= MaxUserID && CanonicalID(ref.Environment)
	case KindSessionToken:
		return ref.Key != ""
	}
	return validHash(ref.Key)
}

// validHash reports whether s is a SHA-256 in lower-case hex.
func validHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
