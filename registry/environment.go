package registry

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
)

// Environment is an environment's record, as an operator sees it. Times are UTC.
type Environment struct {
	// ID never changes.
	ID uuid.UUID `json:"id"`
	// TenantID is the tenant's.
	TenantID uuid.UUID `json:"tenantId"`
	// Slug is unique in the tenant.
	Slug string          `json:"slug"`
	Name string          `json:"name"`
	Type EnvironmentType `json:"type"`
	// Default is true for the tenant's one default environment.
	Default bool   `json:"isDefault"`
	Status  Status `json:"status"`
	// StatusReason is what the last transition gave.
	StatusReason string `json:"statusReason,omitempty"`
	// StatusChangedAt is zero as long as the status is the first one.
	StatusChangedAt time.Time `json:"statusChangedAt,omitzero"`
	Region          string    `json:"region,omitempty"`
	// Quotas are the environment's own; they come on top of the tenant's.
	Quotas Quotas `json:"quotas"`
	// Upstreams are the environment's own.
	Upstreams UpstreamList      `json:"upstreams"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	// Database is nil as long as the environment has none.
	Database *EnvironmentDatabase `json:"database,omitempty"`
	// Version grows with every change of the record by any writer, from 1; domains, members, keys and the database have
	// versions of their own.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// EnvironmentDatabase is the data plane of an environment. It holds no secret.
type EnvironmentDatabase struct {
	// Driver is turso, libsql, postgres, sqlite or memory.
	Driver string `json:"driver"`
	// Name never changes.
	Name   string `json:"name"`
	URL    string `json:"url,omitempty"`
	Schema string `json:"schema,omitempty"`
	Region string `json:"region,omitempty"`
	// Status is provisioning, active, failed or destroying.
	Status Status `json:"status"`
	// Version grows with every change by any writer, from 1.
	Version int64 `json:"version"`
}

// Protected reports whether archiving or removing the environment needs Force with its slug repeated: the default
// environment, whatever its type, and those of the types production and default.
func (e *Environment) Protected() bool {
	return protectedEnvironment(e.Default, string(e.Type))
}

func protectedEnvironment(isDefault bool, kind string) bool {
	return isDefault || kind == string(EnvironmentProduction) || kind == string(EnvironmentDefault)
}

// environmentRow is an environment as it is stored; database is nil where there is none.
type environmentRow struct {
	environmentRecord
	history
	database       *databaseRecord
	databaseStatus string
}

// selectEnvironment reads the columns in the order of values.environmentRow.
const selectEnvironment = `SELECT ` + environmentColumns + `, ` + historyColumns + `, d.* FROM sys_environment e LEFT JOIN
 (SELECT environment_id, driver, name AS database_name, schema_name, url, region AS database_region, version AS database_version, status AS database_status
    FROM sys_environment_database) d ON d.environment_id = e.id`

func (v *values) environmentRow() *environmentRow {
	row := &environmentRow{environmentRecord: v.environment(), history: v.history()}
	d := v.database()
	if row.databaseStatus = v.text(); d.environment != "" {
		row.database = &d
	}
	return row
}

// environment returns the record as an operator sees it.
func (s *Store) environment(r *environmentRow) (*Environment, error) {
	e := &Environment{
		ID: storedID(r.id), TenantID: storedID(r.tenant), Slug: r.slug, Name: r.name, Type: EnvironmentType(r.kind),
		Default: r.isDefault, Status: Status(r.status), StatusReason: r.reason, StatusChangedAt: storedInstantOf(r.changed),
		Region: r.region, Quotas: r.quotas, Version: r.version,
		CreatedAt: storedInstantOf(r.created), UpdatedAt: storedInstantOf(r.updated),
	}
	var err error
	if e.Upstreams, err = storedUpstreams(r.upstreams); err != nil {
		return nil, s.unreadable("upstreams of environment "+r.id, err)
	}
	if e.Metadata, err = parseMetadata(r.metadata, &s.parsed); err != nil {
		return nil, s.unreadable("metadata of environment "+r.id, err)
	}
	if d := r.database; d != nil {
		e.Database = &EnvironmentDatabase{
			Driver: d.driver, Name: d.name, URL: d.url, Schema: d.schema, Region: d.region, Status: Status(r.databaseStatus), Version: d.version,
		}
	}
	return e, nil
}

// view is what the audit log shows of the record.
func (r *environmentRecord) view() map[string]any {
	return map[string]any{
		"slug": r.slug, "name": r.name, "type": r.kind, "isDefault": r.isDefault, "status": r.status,
		"region": nullText(r.region), "quotas": r.quotas, "upstreams": nullJSON(r.upstreams), "metadata": nullJSON(r.metadata),
	}
}

// view is what the audit log shows of the record.
func (r *databaseRecord) view() map[string]any {
	return map[string]any{
		"driver": r.driver, "name": r.name, "url": nullText(r.url), "schema": nullText(r.schema), "region": nullText(r.region),
	}
}

// findEnvironment reads an environment of a tenant by its id, its slug, or a former slug; "" is the default one.
func (s *Store) findEnvironment(ctx context.Context, tenant *tenantRow, key string) (*environmentRow, error) {
	condition := ` AND id = ?2`
	args := []any{tenant.id, key}
	id, err := parseID(key)
	switch {
	case err == nil:
		args[1] = id.String()
	case key == "":
		condition, args = ` AND is_default = 1`, args[:1]
	case ValidSlug(key):
		condition = ` AND id = coalesce((SELECT id FROM sys_environment WHERE organization_id = ?1 AND slug = ?2),
 (SELECT environment_id FROM sys_environment_alias WHERE organization_id = ?1 AND slug = ?2 AND (expires_at IS NULL OR expires_at > ?3)))`
		args = append(args, formatTime(s.now()))
	default:
		return nil, &MissingError{What: "environment", Key: key}
	}
	var row *environmentRow
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		row = v.environmentRow()
		return nil
	}, selectEnvironment+` WHERE organization_id = ?1`+condition, args...)
	if err == nil && row == nil {
		err = &MissingError{What: "environment", Key: key}
	}
	return row, err
}

// find reads an environment and its tenant.
func (s *Store) find(ctx context.Context, tenant, environment string) (*tenantRow, *environmentRow, error) {
	t, err := s.findTenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.findEnvironment(ctx, t, environment)
	return t, e, err
}

// GetEnvironment returns an environment of a tenant, each by id or slug; former slugs lead there as well, and "" is the
// tenant's default environment. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) GetEnvironment(ctx context.Context, tenant, environment string) (*Environment, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	_, row, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, err
	}
	return s.environment(row)
}
