package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// resource is a quota that an application owns.
type resource struct {
	metric string
	limit  func(*Quotas) int64
	// daily ones are counted per calendar day in UTC.
	daily bool
	// largest ones are no sum: the tenant's value is that of the environment with the largest.
	largest bool
}

var resources = []resource{
	{metric: "maxUsers", limit: func(q *Quotas) int64 { return q.MaxUsers }},
	{metric: "maxStorageBytes", limit: func(q *Quotas) int64 { return q.MaxStorageBytes }},
	{metric: "maxObjects", limit: func(q *Quotas) int64 { return q.MaxObjects }},
	{metric: "maxRecordsPerObject", limit: func(q *Quotas) int64 { return q.MaxRecordsPerObject }, largest: true},
	{metric: "maxDeploymentsPerDay", limit: func(q *Quotas) int64 { return q.MaxDeploymentsPerDay }, daily: true},
}

// ResourceMetrics returns the names of the quotas that applications own and report.
func ResourceMetrics() []string {
	list := make([]string, len(resources))
	for i := range resources {
		list[i] = resources[i].metric
	}
	return list
}

// ErrResource is wrapped by errors about a metric or a value that cannot be.
var ErrResource = errors.New("invalid resource usage")

// ResourceUsage is what an application says that it uses, or asks whether it may use.
type ResourceUsage struct {
	// Tenant is the tenant's id; zero takes it from Environment.
	Tenant uuid.UUID
	// Environment is the environment's id; zero is the tenant as a whole.
	Environment uuid.UUID
	// Metric is one of [ResourceMetrics].
	Metric string
	// Used is the value, from 0 to [MaxQuota]: for [Store.ReportUsage] what is used now (today, for what is counted per
	// day), for [Store.CheckUsage] how much more is wanted (of maxRecordsPerObject: how many records the object would
	// have).
	Used int64
}

// QuotaResult says whether a quota holds: a QuotaEnforcementResult.
type QuotaResult struct {
	// Allowed is false when a quota is, or would be, exceeded.
	Allowed bool `json:"allowed"`
	// ExceededQuota is the quota's name; empty when Allowed.
	ExceededQuota string `json:"exceededQuota,omitempty"`
	// CurrentUsage is what is used at present, of the quota that is exceeded or comes closest to it.
	CurrentUsage int64 `json:"currentUsage"`
	// Limit is the quota's value; 0 means that there is no limit.
	Limit int64 `json:"limit"`
	// Message says the same to people; empty when Allowed.
	Message string `json:"message,omitempty"`
}

// TenantUsage is the record of what a tenant uses of one quota in one environment.
type TenantUsage struct {
	// Environment is zero for the tenant as a whole.
	Environment uuid.UUID `json:"environmentId,omitzero"`
	Metric      string    `json:"metric"`
	// Day is the day in UTC, for what is counted per day.
	Day       time.Time `json:"day,omitzero"`
	Used      int64     `json:"used"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (u *ResourceUsage) check() (*resource, error) {
	i := slices.IndexFunc(resources, func(r resource) bool { return r.metric == u.Metric })
	if i < 0 {
		return nil, fmt.Errorf("%w: the metric must be %s, not %s", ErrResource, strings.Join(ResourceMetrics(), ", "), strconv.Quote(u.Metric))
	}
	if u.Used < 0 || u.Used > MaxQuota {
		return nil, fmt.Errorf("%w: the value must be from 0 to %d, not %d", ErrResource, MaxQuota, u.Used)
	}
	return &resources[i], nil
}

const upsertResource = `INSERT INTO sys_resource_usage (organization_id, environment_id, metric, period_start, used) VALUES (?1, ?2, ?3, ?4, ?5)
 ON CONFLICT DO UPDATE SET used = excluded.used, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`

// ReportUsage records what is used of a quota and says whether that is within it. What is reported is recorded in any
// case: it is a fact. Errors are a [*NotFoundError], or wrap [ErrResource] or [ErrUnavailable].
func (s *Store) ReportUsage(ctx context.Context, u ResourceUsage) (QuotaResult, error) {
	kind, res, err := s.resource(ctx, &u)
	if err != nil {
		return QuotaResult{}, err
	}
	if _, err := s.exec(ctx, upsertResource, u.Tenant.String(), idOrEmpty(u.Environment), u.Metric, kind.start(s.now()), u.Used); err != nil {
		return QuotaResult{}, err
	}
	return s.judge(ctx, kind, res, &u, 0)
}

// CheckUsage says whether so much more may be used, going by what was reported. It records nothing: two that ask at once
// may both be told that there is room. Errors are as those of [Store.ReportUsage].
func (s *Store) CheckUsage(ctx context.Context, u ResourceUsage) (QuotaResult, error) {
	kind, res, err := s.resource(ctx, &u)
	if err != nil {
		return QuotaResult{}, err
	}
	return s.judge(ctx, kind, res, &u, u.Used)
}

// resource checks a question and finds the tenant that it is about.
func (s *Store) resource(ctx context.Context, u *ResourceUsage) (*resource, *Resolved, error) {
	kind, err := u.check()
	if err != nil {
		return nil, nil, err
	}
	ref := Reference{Kind: KindTenantID, Key: u.Tenant.String()}
	switch {
	case u.Tenant == uuid.Nil:
		ref = Reference{Kind: KindEnvironmentID, Key: u.Environment.String()}
	case u.Environment != uuid.Nil:
		ref.Environment = u.Environment.String()
	}
	res, err := s.Resolve(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	u.Tenant = res.Tenant.ID
	return kind, res, nil
}

// start returns the start of the period that is counted in.
func (r *resource) start(now time.Time) string {
	if !r.daily {
		return ""
	}
	return formatTime(startOfDay(now))
}

const selectResource = `SELECT coalesce(sum(used), 0), coalesce(max(used), 0), coalesce(sum(used) FILTER (WHERE environment_id = ?4), 0)
 FROM sys_resource_usage WHERE organization_id = ?1 AND metric = ?2 AND period_start = ?3`

// judge compares what is used, and so much more, with the tenant's quota and the environment's own.
func (s *Store) judge(ctx context.Context, kind *resource, res *Resolved, u *ResourceUsage, more int64) (QuotaResult, error) {
	var sum, largest, environment int64
	scan := func(rows *sql.Rows) error { return rows.Scan(&sum, &largest, &environment) }
	if err := s.query(ctx, scan, selectResource, u.Tenant.String(), u.Metric, kind.start(s.now()), idOrEmpty(u.Environment)); err != nil {
		return QuotaResult{}, err
	}
	tenant := sum
	if kind.largest {
		tenant = largest
	}
	result := QuotaResult{Allowed: true, CurrentUsage: tenant}
	verdict := func(of string, used, limit int64) {
		if limit == 0 || !result.Allowed {
			return
		}
		wanted := used + more // neither is above 2^53 for each of a tenant's environments
		if kind.largest && more > 0 {
			wanted = more
		}
		if wanted > limit {
			result = QuotaResult{ExceededQuota: u.Metric, CurrentUsage: used, Limit: limit, Message: fmt.Sprintf("Quota %q of the %s exceeded: %d of %d used.", u.Metric, of, used, limit)}
			if more > 0 {
				result.Message = fmt.Sprintf("Quota %q of the %s would be exceeded: %d of %d used, %d wanted.", u.Metric, of, used, limit, more)
			}
		} else if result.Limit == 0 || limit-used < result.Limit-result.CurrentUsage {
			result.CurrentUsage, result.Limit = used, limit
		}
	}
	verdict("tenant", tenant, kind.limit(&res.Tenant.Quotas))
	if u.Environment != uuid.Nil && res.Environment.Quotas != nil {
		verdict("environment", environment, kind.limit(res.Environment.Quotas))
	}
	return result, nil
}

const listResource = `SELECT environment_id, metric, period_start, used, updated_at FROM sys_resource_usage
 WHERE organization_id = ?1 ORDER BY metric, period_start DESC, environment_id LIMIT ?2`

// maxResourceRows bounds the answer of [Store.ResourceUsage].
const maxResourceRows = 1000

// ResourceUsage returns what was reported of a tenant, by metric, the latest day first; at most 1000 rows.
func (s *Store) ResourceUsage(ctx context.Context, tenant uuid.UUID) ([]TenantUsage, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	var list []TenantUsage
	scan := func(rows *sql.Rows) error {
		var u TenantUsage
		var environment, start, updated string
		if err := rows.Scan(&environment, &u.Metric, &start, &u.Used, &updated); err != nil {
			return err
		}
		u.Environment, _ = uuid.Parse(environment)
		if start != "" {
			u.Day, _ = parseTime(start) // held by a CHECK
		}
		u.UpdatedAt, _ = parseTime(updated)
		list = append(list, u)
		return nil
	}
	if err := s.query(ctx, scan, listResource, tenant.String(), maxResourceRows); err != nil {
		return nil, err
	}
	return list, nil
}
