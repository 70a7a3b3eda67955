package registry

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
)

// maxNames is how many names one call brings, so that they fit into an answer of sqld.
const maxNames = 10_000

// VerifiedHosts returns the host names that are verified, in their order, from after a name on ("" from the first): at
// most limit, 10,000 when it is none. A call that brings fewer has reached the end. Errors wrap [ErrUnavailable].
func (s *Store) VerifiedHosts(ctx context.Context, after string, limit int) ([]string, error) {
	return s.names(ctx, `SELECT hostname FROM sys_domain WHERE hostname > ?1 AND verified_at IS NOT NULL ORDER BY hostname LIMIT ?2`, after, limit)
}

// TenantSlugs is [Store.VerifiedHosts] for the slugs of tenants, former ones that still lead somewhere included.
func (s *Store) TenantSlugs(ctx context.Context, after string, limit int) ([]string, error) {
	return s.names(ctx, `SELECT slug FROM sys_organization WHERE slug > ?1
 UNION SELECT slug FROM sys_organization_alias WHERE slug > ?1 ORDER BY 1 LIMIT ?2`, after, limit)
}

func (s *Store) names(ctx context.Context, query, after string, limit int) ([]string, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	var list []string
	err := s.query(ctx, func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		list = append(list, name)
		return nil
	}, query, after, int64(boundedLimit(limit, maxNames)))
	return list, err
}

// EnvironmentName is the slug of an environment and whose it is.
type EnvironmentName struct {
	// Tenant is the tenant's id.
	Tenant uuid.UUID
	// Slug is the environment's slug, or a former one that still leads to it.
	Slug string
}

// EnvironmentNames is [Store.VerifiedHosts] for the slugs of environments; the zero value is before the first.
func (s *Store) EnvironmentNames(ctx context.Context, after EnvironmentName, limit int) ([]EnvironmentName, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	var list []EnvironmentName
	err := s.query(ctx, func(rows *sql.Rows) error {
		var tenant string
		var n EnvironmentName
		if err := rows.Scan(&tenant, &n.Slug); err != nil {
			return err
		}
		id, err := uuid.Parse(tenant)
		if err != nil {
			return s.unavailable("it holds an environment whose tenant's id is no UUID")
		}
		n.Tenant = id
		list = append(list, n)
		return nil
	}, `SELECT organization_id, slug FROM sys_environment WHERE (organization_id, slug) > (?1, ?2)
 UNION SELECT organization_id, slug FROM sys_environment_alias WHERE (organization_id, slug) > (?1, ?2)
 ORDER BY 1, 2 LIMIT ?3`, after.Tenant.String(), after.Slug, int64(boundedLimit(limit, maxNames)))
	return list, err
}
