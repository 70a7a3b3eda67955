package adminapi

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

type usage interface {
	ListUsage(ctx context.Context, q registry.UsageQuery) ([]registry.UsageRow, error)
	ResourceUsage(ctx context.Context, tenant uuid.UUID) ([]registry.TenantUsage, error)
	ReportUsage(ctx context.Context, u registry.ResourceUsage) (registry.QuotaResult, error)
	CheckUsage(ctx context.Context, u registry.ResourceUsage) (registry.QuotaResult, error)
}

// maxUsageCursor is longer than any position in the list, in bytes.
const maxUsageCursor = 256

// listUsage answers with what was used by day or by month.
func listUsage(ctx context.Context, c *call) (answer, error) {
	var q registry.UsageQuery
	tenant, err := c.query.text("tenant")
	if err != nil {
		return answer{}, err
	}
	period, err := c.query.text("period")
	if err != nil {
		return answer{}, err
	}
	switch q.Period = registry.UsagePeriod(period); q.Period {
	case "", registry.UsageByDay, registry.UsageByMonth:
	default:
		return answer{}, invalid("period", "must be %s or %s", registry.UsageByDay, registry.UsageByMonth)
	}
	if q.From, err = c.query.instant("from"); err != nil {
		return answer{}, err
	}
	if q.To, err = c.query.instant("to"); err != nil {
		return answer{}, err
	}
	page, err := c.query.page()
	if err != nil {
		return answer{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil || len(after) > maxUsageCursor || !utf8.Valid(after) {
		return answer{}, invalid("cursor", "is none that this list has given")
	}
	q.After = string(after)
	if tenant != "" {
		t, err := c.Store.GetTenant(ctx, tenant)
		if err != nil {
			return answer{}, err
		}
		q.Tenant = t.ID
	}
	q.Limit = page.Limit + 1
	rows, err := c.Store.ListUsage(ctx, q)
	next := ""
	if len(rows) > page.Limit {
		rows = rows[:page.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(rows[page.Limit-1].Cursor))
	}
	if rows == nil {
		rows = []registry.UsageRow{}
	}
	return list(rows, next, err)
}

// reportUsage records what an application uses of a quota that it owns.
func reportUsage(ctx context.Context, c *call) (answer, error) {
	return c.enforce(ctx, c.Store.ReportUsage)
}

// checkUsage says whether an application may use so much more, and records nothing.
func checkUsage(ctx context.Context, c *call) (answer, error) {
	return c.enforce(ctx, c.Store.CheckUsage)
}

// enforce reads what an application says of a resource and answers whether its quota holds.
func (c *call) enforce(ctx context.Context, ask func(context.Context, registry.ResourceUsage) (registry.QuotaResult, error)) (answer, error) {
	var u registry.ResourceUsage
	var environment string
	used := int64(-1)
	err := decode(c.body, fields{
		"metric": text(&u.Metric), "used": whole(&used, 0, registry.MaxQuota), "environment": text(&environment),
	})
	switch {
	case err != nil:
		return answer{}, err
	case !slices.Contains(registry.ResourceMetrics(), u.Metric):
		return answer{}, invalid("metric", "must be one of %s", strings.Join(registry.ResourceMetrics(), ", "))
	case used < 0:
		return answer{}, invalid("used", "is missing")
	}
	u.Used = used
	t, err := c.Store.GetTenant(ctx, c.PathValue("tenant"))
	if err != nil {
		return answer{}, err
	}
	u.Tenant = t.ID
	if environment != "" {
		e, err := c.Store.GetEnvironment(ctx, t.ID.String(), environment)
		if err != nil {
			return answer{}, err
		}
		u.Environment = e.ID
	}
	result, err := ask(ctx, u)
	if err != nil {
		return answer{}, err
	}
	return answer{body: result}, nil
}
