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

// row returns the account as the columns that name it, for [correctUsage].
func (a *UsageAccount) row() ([]any, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	return []any{a.Tenant.String(), idOrEmpty(a.Environment), idOrEmpty(a.APIKey), a.metric(), formatTime(startOfDay(a.Day))}, nil
}

// check returns an error for an account that cannot be.
func (a *UsageAccount) check() error {
	switch {
	case len(a.Metric) > maxMetric:
		return fmt.Errorf("a usage metric has at most %d bytes, not %d", maxMetric, len(a.Metric))
	case a.Tenant == uuid.Nil:
		return errors.New("usage belongs to no tenant")
	}
	return nil
}

// metric returns what is counted.
func (a *UsageAccount) metric() string {
	if a.Metric == "" {
		return MetricRequests
	}
	return a.Metric
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

// Statements of a group's accounts, ?1, on the day ?2: as objects of what was counted by the node ?3, and as arrays.
const (
	upsertUsage = `INSERT INTO sys_usage (organization_id, environment_id, api_key_id, metric, period, period_start, node, used, updated_at)
 SELECT $1, $2, $3, $4, 'day', ?2, ?3, j.value, (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
 FROM json_each(?1) j WHERE EXISTS (SELECT 1 FROM sys_organization WHERE id = $1)
 ON CONFLICT DO UPDATE SET used = excluded.used, updated_at = excluded.updated_at WHERE excluded.used > used`

	// The month goes from ?4 to ?5. One search for all three sums: an index holds all that it takes.
	selectUsage = `SELECT j.key,
  (SELECT coalesce(sum(used) FILTER (WHERE period_start = ?2 AND node = ?3), 0) || ' ' ||
     coalesce(sum(used) FILTER (WHERE period_start = ?2 AND node <> ?3), 0) || ' ' ||
     coalesce(sum(used) FILTER (WHERE period_start <> ?2), 0)
   FROM sys_usage WHERE organization_id = $1 AND environment_id = $2 AND api_key_id = $3 AND metric = $4
     AND period = 'day' AND period_start >= ?4 AND period_start < ?5)
 FROM json_each(?1) j`
)

var (
	upsertUsagePlain, upsertUsageFull = usagePlain.of("j.key", upsertUsage), usageFull.of("j.key", upsertUsage)
	selectUsagePlain, selectUsageFull = usagePlain.of("j.value", selectUsage), usageFull.of("j.value", selectUsage)
)

// correctUsage lowers what was recorded too high, unless another value was recorded since. Each record is an array of the
// columns that name it, what is used and what was.
const correctUsage = `UPDATE sys_usage SET used = j.value->>5, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
 FROM json_each(?1) j WHERE organization_id = j.value->>0 AND environment_id = j.value->>1 AND api_key_id = j.value->>2 AND metric = j.value->>3
   AND period = 'day' AND period_start = j.value->>4 AND node = ?2 AND used = j.value->>6`

// SaveUsage records what a node has counted, in one statement for all records of a day, and another for those of API keys and
// routes: each all or none. A
// value lowers the one that is recorded only if that is exactly Was, so that a call that is repeated or comes late does no
// harm; such records are written by a statement of their own. What belongs to a tenant that was deleted is left out.
// It costs least when the records are in the order of their tenants. Errors wrap [ErrUnavailable], except for records that
// cannot be.
func (s *Store) SaveUsage(ctx context.Context, node string, records []UsageRecord) error {
	if err := errors.Join(s.migrated(), checkUsageCall(node, len(records))); err != nil {
		return err
	}
	var more usageGroups
	var less []any
	for i := range records {
		r := &records[i]
		if r.Used < 0 || r.Used > MaxQuota {
			return fmt.Errorf("usage must be from 0 to %d, not %d", MaxQuota, r.Used)
		}
		if r.Used < r.Was {
			row, err := r.row()
			if err != nil {
				return err
			}
			less = append(less, append(row, r.Used, r.Was))
			continue
		}
		g, err := more.of(&r.UsageAccount, len(records)-i)
		if err != nil {
			return err
		}
		g.addRecord(r)
	}
	for _, g := range more {
		statement := upsertUsagePlain
		if g.full {
			statement = upsertUsageFull
		}
		if _, err := s.exec(ctx, statement, g.object(), formatTime(g.day), node); err != nil {
			return err
		}
	}
	if len(less) == 0 {
		return nil
	}
	_, err := s.exec(ctx, correctUsage, mustJSON(less), node)
	return err
}

// LoadUsage returns what is recorded of each account, in the same order: one query for all of a day, and another for API keys and
// routes. Errors wrap
// [ErrUnavailable], except for accounts that cannot be.
func (s *Store) LoadUsage(ctx context.Context, node string, accounts []UsageAccount) ([]UsageTotals, error) {
	if err := errors.Join(s.migrated(), checkUsageCall(node, len(accounts))); err != nil {
		return nil, err
	}
	var groups usageGroups
	for i := range accounts {
		g, err := groups.of(&accounts[i], len(accounts)-i)
		if err != nil {
			return nil, err
		}
		g.addAccount(&accounts[i], i)
	}
	totals := make([]UsageTotals, len(accounts))
	for _, g := range groups {
		if err := s.loadUsage(ctx, node, g, totals); err != nil {
			return nil, err
		}
	}
	return totals, nil
}

func (s *Store) loadUsage(ctx context.Context, node string, g *usageGroup, totals []UsageTotals) error {
	scan := func(rows *sql.Rows) error {
		var i int
		var sums sql.RawBytes
		if err := rows.Scan(&i, &sums); err != nil {
			return err
		}
		if i < 0 || i >= len(g.places) {
			return s.unavailable("it answered for an account that nobody asked for")
		}
		t, ok := parseTotals(sums)
		if !ok {
			return s.unavailable("it answered with usage that is none")
		}
		totals[g.places[i]] = t
		return nil
	}
	month := g.day.AddDate(0, 0, 1-g.day.Day())
	statement := selectUsagePlain
	if g.full {
		statement = selectUsageFull
	}
	return s.query(ctx, scan, statement, g.array(), formatTime(g.day), node, formatTime(month), formatTime(month.AddDate(0, 1, 0)))
}
