package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// UpstreamList is a list of upstreams that is written in JSON as in an import file: ["10.0.0.1:80", "pool:blue"].
type UpstreamList []Upstream

// MarshalJSON implements json.Marshaler.
func (l UpstreamList) MarshalJSON() ([]byte, error) { return []byte(upstreamsJSON(l)), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (l *UpstreamList) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*l = nil
	for _, name := range names {
		u, err := ParseUpstream(name)
		if err != nil {
			return err
		}
		*l = append(*l, u)
	}
	return nil
}

// Tenant is a tenant's record, as an operator sees it. Times are UTC.
type Tenant struct {
	// ID never changes.
	ID   uuid.UUID `json:"id"`
	Slug string    `json:"slug"`
	Name string    `json:"name"`
	// Plan is a plan's name.
	Plan   string `json:"plan"`
	Status Status `json:"status"`
	// StatusReason is what the last transition gave.
	StatusReason string `json:"statusReason,omitempty"`
	// StatusChangedAt is zero as long as the status is the first one.
	StatusChangedAt time.Time      `json:"statusChangedAt,omitzero"`
	Isolation       IsolationLevel `json:"isolationLevel"`
	// SubscriptionExpiresAt is zero for never.
	SubscriptionExpiresAt time.Time `json:"subscriptionExpiresAt,omitzero"`
	// Quotas are the tenant's own, without those of its plan.
	Quotas Quotas `json:"quotas"`
	// Upstreams are the tenant's own.
	Upstreams UpstreamList      `json:"upstreams"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	// SecurityPolicy is nil when the tenant has none.
	SecurityPolicy *SecurityPolicy `json:"securityPolicy,omitempty"`
	// Version grows with every change by any writer, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// history is what the records of tenants and environments say and no import knows of.
type history struct {
	reason                    string
	changed, created, updated string
}

// historyColumns are read by values.history.
const historyColumns = `status_reason, status_changed_at, created_at, updated_at`

func (v *values) history() history {
	return history{reason: v.text(), changed: v.text(), created: v.text(), updated: v.text()}
}

// storedInstantOf reads a time that the schema has checked; zero for "".
func storedInstantOf(text string) time.Time {
	t, _ := parseTime(text)
	return t
}

// tenantRow is a tenant as it is stored.
type tenantRow struct {
	tenantRecord
	history
}

const selectTenant = `SELECT ` + tenantColumns + `, ` + historyColumns + ` FROM sys_organization`

// tenant returns the record as an operator sees it.
func (s *Store) tenant(r *tenantRow) (*Tenant, error) {
	t := &Tenant{
		ID: storedID(r.id), Slug: r.slug, Name: r.name, Plan: r.plan, Status: Status(r.status), StatusReason: r.reason,
		StatusChangedAt: storedInstantOf(r.changed), Isolation: IsolationLevel(r.isolation),
		SubscriptionExpiresAt: storedInstantOf(r.expires), Quotas: r.quotas, Version: r.version,
		CreatedAt: storedInstantOf(r.created), UpdatedAt: storedInstantOf(r.updated),
	}
	var err error
	if t.Upstreams, err = storedUpstreams(r.upstreams); err != nil {
		return nil, s.unreadable("upstreams of tenant "+r.id, err)
	}
	if t.Metadata, err = parseMetadata(r.metadata, &s.parsed); err != nil {
		return nil, s.unreadable("metadata of tenant "+r.id, err)
	}
	if t.SecurityPolicy, err = parseSecurityPolicy(r.policy); err != nil {
		return nil, s.unreadable("security_policy of tenant "+r.id, err)
	}
	return t, nil
}

// unreadable is the error for a value that a plain SQL client wrote and that nobody can read.
func (s *Store) unreadable(what string, err error) error {
	return s.unavailable("it holds a value that cannot be read: " + what + ": " + err.Error())
}

// view is what the audit log shows of the record.
func (r *tenantRecord) view() map[string]any {
	return map[string]any{
		"slug": r.slug, "name": r.name, "plan": r.plan, "status": r.status, "isolationLevel": r.isolation,
		"subscriptionExpiresAt": nullText(r.expires), "quotas": r.quotas, "upstreams": nullJSON(r.upstreams),
		"metadata": nullJSON(r.metadata), "securityPolicy": nullJSON(r.policy),
	}
}

// findTenant reads a tenant by its id, its slug, or a former slug.
func (s *Store) findTenant(ctx context.Context, key string) (*tenantRow, error) {
	condition := ` WHERE id = ?1`
	id, err := parseID(key)
	switch {
	case err == nil:
		key = id.String()
	case ValidSlug(key):
		condition = ` WHERE id = coalesce((SELECT id FROM sys_organization WHERE slug = ?1),
 (SELECT organization_id FROM sys_organization_alias WHERE slug = ?1 AND (expires_at IS NULL OR expires_at > ?2)))`
	default:
		return nil, &MissingError{What: "tenant", Key: key}
	}
	args := []any{key}
	if err != nil {
		args = append(args, formatTime(s.now()))
	}
	var row *tenantRow
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		row = &tenantRow{v.tenant(), v.history()}
		return nil
	}, selectTenant+condition, args...)
	if err == nil && row == nil {
		err = &MissingError{What: "tenant", Key: key}
	}
	return row, err
}

// GetTenant returns a tenant by its id or slug; a former slug leads to it as well. Errors: [*MissingError],
// [ErrUnavailable].
func (s *Store) GetTenant(ctx context.Context, idOrSlug string) (*Tenant, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	row, err := s.findTenant(ctx, idOrSlug)
	if err != nil {
		return nil, err
	}
	return s.tenant(row)
}
