package registry

import (
	"context"
	"database/sql"
	"time"
)

// Alias is a former slug that still leads to its tenant or environment. Times are UTC.
type Alias struct {
	Slug      string    `json:"slug"`
	CreatedAt time.Time `json:"createdAt"`
	// ExpiresAt is zero where it holds until somebody removes it.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// TenantAliases returns the former slugs of a tenant, which is named by id or slug, by their names; at most 1000.
// Errors: [*MissingError], [ErrUnavailable].
func (s *Store) TenantAliases(ctx context.Context, tenant string) ([]Alias, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	t, err := s.findTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return s.aliases(ctx, `SELECT slug, created_at, expires_at FROM sys_organization_alias WHERE organization_id = ?1 ORDER BY slug LIMIT ?2`, t.id)
}

// EnvironmentAliases returns the former slugs of an environment by their names, at most 1000; tenant and environment are
// ids or slugs. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) EnvironmentAliases(ctx context.Context, tenant, environment string) ([]Alias, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, err
	}
	return s.aliases(ctx, `SELECT slug, created_at, expires_at FROM sys_environment_alias WHERE environment_id = ?1 ORDER BY slug LIMIT ?2`, e.id)
}

func (s *Store) aliases(ctx context.Context, query, id string) ([]Alias, error) {
	list := []Alias{}
	var v values
	err := s.query(ctx, func(rows *sql.Rows) error {
		err := v.scan(rows)
		if err == nil {
			list = append(list, Alias{Slug: v.text(), CreatedAt: storedInstantOf(v.text()), ExpiresAt: storedInstantOf(v.text())})
		}
		return err
	}, query, id, int64(MaxPage))
	return list, err
}

// RemoveTenantAlias ends a former slug of a tenant, which is named by id or slug. The audit log has it as
// organization.unalias. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) RemoveTenantAlias(ctx context.Context, actor Actor, tenant, slug string) error {
	return s.change(ctx, actor, func() (*operation, error) {
		t, err := s.findTenant(ctx, tenant)
		if err != nil {
			return nil, err
		}
		err = s.aliasOf(ctx, `SELECT 1 FROM sys_organization_alias WHERE organization_id = ?1 AND slug = ?2`, t.id, slug)
		if err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workTenantUnalias, []any{slug})
		op.audit("organization.unalias", t.id, "", slug, detail{Before: map[string]any{"alias": slug}})
		return op, nil
	})
}

// RemoveEnvironmentAlias ends a former slug of an environment; tenant and environment are ids or slugs. The audit log has
// it as environment.unalias. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) RemoveEnvironmentAlias(ctx context.Context, actor Actor, tenant, environment, slug string) error {
	return s.change(ctx, actor, func() (*operation, error) {
		_, e, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		err = s.aliasOf(ctx, `SELECT 1 FROM sys_environment_alias WHERE environment_id = ?1 AND slug = ?2`, e.id, slug)
		if err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workUnalias, []any{e.tenant, slug})
		op.audit("environment.unalias", e.tenant, e.id, slug, detail{Before: map[string]any{"alias": slug}})
		return op, nil
	})
}

// aliasOf returns an error unless the query finds the alias.
func (s *Store) aliasOf(ctx context.Context, query, id, slug string) error {
	found := false
	err := s.query(ctx, func(*sql.Rows) error {
		found = true
		return nil
	}, query, id, slug)
	if err == nil && !found {
		err = &MissingError{What: "alias", Key: slug}
	}
	return err
}

// TrimAliases removes the former slugs that have expired, and returns how many. A gateway calls it from time to time; any
// change by this package does the same. Errors: [ErrUnavailable].
func (s *Store) TrimAliases(ctx context.Context, now time.Time) (int64, error) {
	if err := s.migrated(); err != nil {
		return 0, err
	}
	var n int64
	for _, table := range []string{"sys_organization_alias", "sys_environment_alias"} {
		r, err := s.exec(ctx, `DELETE FROM `+table+` WHERE expires_at < ?1`, formatTime(now))
		if err != nil {
			return n, err
		}
		if m, err := r.RowsAffected(); err == nil {
			n += m
		}
	}
	return n, nil
}
