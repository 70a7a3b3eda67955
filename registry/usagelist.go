package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// UsagePeriod is by what usage is listed.
type UsagePeriod string

const (
	// UsageByDay lists one row for each day.
	UsageByDay UsagePeriod = "day"
	// UsageByMonth lists one row for each calendar month.
	UsageByMonth UsagePeriod = "month"
)

const (
	// defaultUsagePage is how many rows a page has when its limit is none.
	defaultUsagePage = 100
	// maxUsagePage is the most.
	maxUsagePage = 1000
)

// UsageQuery says what [Store.ListUsage] lists.
type UsageQuery struct {
	// Tenant limits the list to one tenant; zero lists all.
	Tenant uuid.UUID
	// Period is [UsageByMonth] by default.
	Period UsagePeriod
	// From and To limit the list to periods that begin at From or later, and before To; zero means no limit.
	From, To time.Time
	// Metric is [MetricRequests] by default.
	Metric string
	// After is the Cursor of the last row of the page before; empty for the first page.
	After string
	// Limit is how many rows a page has: 100 by default, 1000 at most.
	Limit int
}

// UsageRow is what was used in one period: by a tenant as a whole, in an environment, or by an API key that has an
// allowance of its own. The environments of a tenant add up to the tenant as a whole, unless a limit with a cost of its
// own counts for one of them.
type UsageRow struct {
	Tenant     uuid.UUID `json:"tenantId"`
	TenantSlug string    `json:"tenant"`
	// Environment is zero for a tenant as a whole and for API keys.
	Environment uuid.UUID `json:"environmentId,omitzero"`
	// EnvironmentSlug is empty for an environment that was deleted.
	EnvironmentSlug string      `json:"environment,omitempty"`
	APIKey          uuid.UUID   `json:"apiKeyId,omitzero"`
	Metric          string      `json:"metric"`
	Period          UsagePeriod `json:"period"`
	// Start is the period's first instant, in UTC.
	Start time.Time `json:"start"`
	Used  int64     `json:"used"`
	// Cursor leads to what comes after this row.
	Cursor string `json:"-"`
}

// UsageCSVHeader are the columns of [UsageRow.CSV].
var UsageCSVHeader = []string{"tenant_id", "tenant", "environment_id", "environment", "api_key_id", "metric", "period", "start", "used"}

// CSV returns the row as the fields of a CSV record (RFC 4180); encoding/csv writes them.
func (r *UsageRow) CSV() []string {
	return []string{
		r.Tenant.String(), r.TenantSlug, idOrEmpty(r.Environment), r.EnvironmentSlug, idOrEmpty(r.APIKey), r.Metric,
		string(r.Period), r.Start.Format(time.DateOnly), strconv.FormatInt(r.Used, 10),
	}
}

// The rows of months that are over may have been put together to one row for the month, in which case they have no days.
const listUsage = `SELECT u.organization_id, o.slug, u.environment_id, coalesce(e.slug, ''), u.api_key_id, u.start, u.used,
  u.start || ' ' || u.organization_id || ' ' || u.environment_id || ' ' || u.api_key_id AS cursor
 FROM (SELECT organization_id, environment_id, api_key_id, %s AS start, sum(used) AS used
   FROM sys_usage WHERE metric = ?1 AND %s AND (?2 = '' OR organization_id = ?2) AND period_start >= ?3 AND period_start < ?4
   GROUP BY 1, 2, 3, 4) u
 JOIN sys_organization o ON o.id = u.organization_id
 LEFT JOIN sys_environment e ON e.id = u.environment_id AND e.organization_id = u.organization_id
 WHERE cursor > ?5 ORDER BY cursor LIMIT ?6`

// ListUsage lists what was used, by period, tenant, environment and API key, one page at a time. Errors wrap
// [ErrUnavailable], except for queries that cannot be.
func (s *Store) ListUsage(ctx context.Context, q UsageQuery) ([]UsageRow, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	if q.Period == "" {
		q.Period = UsageByMonth
	}
	if q.Metric == "" {
		q.Metric = MetricRequests
	}
	if q.Limit <= 0 {
		q.Limit = defaultUsagePage
	}
	from, to := "", "~" // before and after all times
	if !q.From.IsZero() {
		from = formatTime(q.From)
	}
	if !q.To.IsZero() {
		to = formatTime(q.To)
	}
	var query string
	switch q.Period {
	case UsageByDay:
		query = fmt.Sprintf(listUsage, `substr(period_start, 1, 10)`, `period = 'day'`)
	case UsageByMonth:
		query = fmt.Sprintf(listUsage, `substr(period_start, 1, 7) || '-01'`, `period IN ('day', 'month')`)
	default:
		return nil, errors.New("usage is listed by " + string(UsageByDay) + " or by " + string(UsageByMonth))
	}
	var list []UsageRow
	scan := func(rows *sql.Rows) error {
		r := UsageRow{Metric: q.Metric, Period: q.Period}
		var tenant, environment, key, start string
		if err := rows.Scan(&tenant, &r.TenantSlug, &environment, &r.EnvironmentSlug, &key, &start, &r.Used, &r.Cursor); err != nil {
			return err
		}
		// Ids that are none, from a writer with checks switched off, are listed as zero.
		r.Tenant, _ = uuid.Parse(tenant)
		r.Environment, _ = uuid.Parse(environment)
		r.APIKey, _ = uuid.Parse(key)
		var err error
		if r.Start, err = time.Parse(time.DateOnly, start); err != nil {
			return s.unavailable("it holds usage of a time that is none")
		}
		list = append(list, r)
		return nil
	}
	err := s.query(ctx, scan, query, q.Metric, idOrEmpty(q.Tenant), from, to, q.After, min(q.Limit, maxUsagePage))
	if err != nil {
		return nil, err
	}
	return list, nil
}

const (
	sumUsage = `INSERT INTO sys_usage (organization_id, environment_id, api_key_id, metric, period, period_start, used)
 SELECT organization_id, environment_id, api_key_id, metric, 'month', substr(period_start, 1, 7) || '-01T00:00:00.000Z', sum(used)
 FROM sys_usage WHERE period = 'day' AND period_start >= ?1 AND period_start < ?2 AND metric = '` + MetricRequests + `'
 GROUP BY 1, 2, 3, 4, 6
 ON CONFLICT DO UPDATE SET used = used + excluded.used, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`
	deleteDays   = `DELETE FROM sys_usage WHERE period = 'day' AND period_start >= ?1 AND period_start < ?2`
	deleteMonths = `DELETE FROM sys_usage WHERE period = 'month' AND period_start < ?1`
	// What applications report per day.
	deleteResourceDays = `DELETE FROM sys_resource_usage WHERE period_start <> '' AND period_start < ?1`

	oldestDay = `SELECT min(period_start) FROM sys_usage WHERE period = 'day'`
)

// TrimUsage puts the days of each month that was over before days together to one row for the month, one month in one
// transaction, and removes the months that began before months. Of limits on routes, which nobody is billed for, the
// days are only removed, as are those that applications report. Gateways must not count for days that long ago any more. Errors wrap [ErrUnavailable].
func (s *Store) TrimUsage(ctx context.Context, days, months time.Time) error {
	if err := s.migrated(); err != nil {
		return err
	}
	for {
		var oldest sql.NullString
		if err := s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&oldest) }, oldestDay); err != nil {
			return err
		}
		if !oldest.Valid {
			break
		}
		day, err := parseTime(oldest.String)
		if err != nil {
			return s.unavailable(err.Error())
		}
		month := day.AddDate(0, 0, 1-day.Day())
		next := month.AddDate(0, 1, 0)
		if next.After(days) {
			break
		}
		err = s.transact(ctx, func(tx *sql.Tx) error {
			if _, err := s.execOn(ctx, tx, sumUsage, formatTime(month), formatTime(next)); err != nil {
				return err
			}
			_, err := s.execOn(ctx, tx, deleteDays, formatTime(month), formatTime(next))
			return err
		})
		if err != nil {
			return err
		}
	}
	if _, err := s.exec(ctx, deleteResourceDays, formatTime(days)); err != nil {
		return err
	}
	_, err := s.exec(ctx, deleteMonths, formatTime(months))
	return err
}
