package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// MetricRequests is the metric of the requests that gateways count.
const MetricRequests = "requests"

// MaxUsageBatch is the largest number of accounts that one call of [Store.LoadUsage] or [Store.SaveUsage] takes.
const MaxUsageBatch = 1000

// maxNode and maxMetric are the largest lengths of a node's name and a metric's, in bytes.
const maxNode, maxMetric = 63, 63

// UsageAccount names what is counted: whose requests, on which day.
type UsageAccount struct {
	// Tenant is required.
	Tenant uuid.UUID
	// Environment is the environment, or zero for the tenant as a whole or an API key.
	Environment uuid.UUID
	// APIKey is the API key that has an allowance of its own, or zero.
	APIKey uuid.UUID
	// Metric is what is counted, 1 to 63 bytes; empty means [MetricRequests].
	Metric string
	// Day is a moment of the day in UTC; its time of day does not matter.
	Day time.Time
}

// UsageTotals are what is recorded of a [UsageAccount].
type UsageTotals struct {
	// Own is what the node that asks has recorded for the day, Others what all others have.
	Own, Others int64
	// Rest is what all nodes have recorded for the other days of the same month.
	Rest int64
}

// UsageRecord is what a node has counted for an account all in all, from 0 to [MaxQuota].
type UsageRecord struct {
	UsageAccount
	Used int64
	// Was is what the node recorded before. It is above Used when that was too much.
	Was int64
}

// row returns the account as the columns that name it, and the start of its month and of the next.
func (a *UsageAccount) row() ([]any, error) {
	metric := a.Metric
	if metric == "" {
		metric = MetricRequests
	}
	if len(metric) > maxMetric {
		return nil, fmt.Errorf("a usage metric has at most %d bytes, not %d", maxMetric, len(metric))
	}
	if a.Tenant == uuid.Nil {
		return nil, errors.New("usage belongs to no tenant")
	}
	day := startOfDay(a.Day)
	month := day.AddDate(0, 0, 1-day.Day())
	return []any{a.Tenant.String(), idOrEmpty(a.Environment), idOrEmpty(a.APIKey), metric, formatTime(day), formatTime(month), formatTime(month.AddDate(0, 1, 0))}, nil
}

// startOfDay returns the first instant of the day in UTC.
func startOfDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func idOrEmpty(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func checkUsageCall(node string, accounts int) error {
	if node == "" || len(node) > maxNode {
		return fmt.Errorf("a node's name has 1 to %d bytes, not %d", maxNode, len(node))
	}
	if accounts > MaxUsageBatch {
		return fmt.Errorf("at most %d accounts at once, not %d", MaxUsageBatch, accounts)
	}
	return nil
}

// The columns of one account, as an element of the JSON array ?1.
const accountOf = `organization_id = j.value->>0 AND environment_id = j.value->>1 AND api_key_id = j.value->>2 AND metric = j.value->>3`

const selectUsage = `SELECT j.key,
  (SELECT coalesce(sum(used), 0) FROM sys_usage WHERE ` + accountOf + ` AND period = 'day' AND period_start = j.value->>4 AND node = ?2),
  (SELECT coalesce(sum(used), 0) FROM sys_usage WHERE ` + accountOf + ` AND period = 'day' AND period_start = j.value->>4 AND node <> ?2),
  (SELECT coalesce(sum(used), 0) FROM sys_usage WHERE ` + accountOf + ` AND period = 'day' AND period_start >= j.value->>5 AND period_start < j.value->>6 AND period_start <> j.value->>4)
 FROM json_each(?1) j`

// LoadUsage returns what is recorded of each account, in the same order: one query for all of them. Errors wrap
// [ErrUnavailable], except for accounts that cannot be.
func (s *Store) LoadUsage(ctx context.Context, node string, accounts []UsageAccount) ([]UsageTotals, error) {
	if err := errors.Join(s.migrated(), checkUsageCall(node, len(accounts))); err != nil {
		return nil, err
	}
	list := make([]any, len(accounts))
	for i := range accounts {
		row, err := accounts[i].row()
		if err != nil {
			return nil, err
		}
		list[i] = row
	}
	totals := make([]UsageTotals, len(accounts))
	scan := func(rows *sql.Rows) error {
		var i int
		var t UsageTotals
		if err := rows.Scan(&i, &t.Own, &t.Others, &t.Rest); err != nil {
			return err
		}
		if i < 0 || i >= len(totals) {
			return s.unavailable("it answered for an account that nobody asked for")
		}
		totals[i] = t
		return nil
	}
	if err := s.query(ctx, scan, selectUsage, mustJSON(list), node); err != nil {
		return nil, err
	}
	return totals, nil
}

const upsertUsage = `INSERT INTO sys_usage (organization_id, environment_id, api_key_id, metric, period, period_start, node, used)
 SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, 'day', j.value->>4, ?2, j.value->>7
 FROM json_each(?1) j WHERE EXISTS (SELECT 1 FROM sys_organization WHERE id = j.value->>0)
 ON CONFLICT DO UPDATE SET used = excluded.used, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE excluded.used > used`

// correctUsage lowers what was recorded too high, unless another value was recorded since.
const correctUsage = `UPDATE sys_usage SET used = j.value->>7, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
 FROM json_each(?1) j WHERE ` + accountOf + ` AND period = 'day' AND period_start = j.value->>4 AND node = ?2 AND used = j.value->>8`

// SaveUsage records what a node has counted, in one statement: all of it or nothing. A value lowers the one that is
// recorded only if that is exactly Was, so that a call that is repeated or comes late does no harm; such records are written
// by a statement of their own. What belongs to a tenant that was deleted is left out. Errors wrap [ErrUnavailable], except for records that cannot be.
func (s *Store) SaveUsage(ctx context.Context, node string, records []UsageRecord) error {
	if err := errors.Join(s.migrated(), checkUsageCall(node, len(records))); err != nil {
		return err
	}
	var more, less []any
	for i := range records {
		r := &records[i]
		row, err := r.row()
		if err != nil {
			return err
		}
		if r.Used < 0 || r.Used > MaxQuota {
			return fmt.Errorf("usage must be from 0 to %d, not %d", MaxQuota, r.Used)
		}
		if row = append(row, r.Used, r.Was); r.Used < r.Was {
			less = append(less, row)
		} else {
			more = append(more, row)
		}
	}
	var err error
	if len(more) > 0 {
		_, err = s.exec(ctx, upsertUsage, mustJSON(more), node)
	}
	if err == nil && len(less) > 0 {
		_, err = s.exec(ctx, correctUsage, mustJSON(less), node)
	}
	return err
}
