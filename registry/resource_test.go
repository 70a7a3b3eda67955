package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Promise: applications report what they use of the quotas that they own, and learn whether it is within the tenant's quota,
// which counts across environments, and the environment's own.
func TestResourceUsage(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		now := leapDay
		s.now = func() time.Time { return now }
		run(t, s, `UPDATE sys_organization SET max_users = 10, max_records_per_object = 100, max_deployments_per_day = 2 WHERE id = ?1`, usedTenant)
		run(t, s, `UPDATE sys_environment SET max_users = 4 WHERE id = ?1`, usedDev.String())
		for i, step := range []struct {
			report bool
			env    uuid.UUID
			metric string
			used   int64
			want   QuotaResult // without Message
		}{
			{true, usedProd, "maxUsers", 6, QuotaResult{Allowed: true, CurrentUsage: 6, Limit: 10}},
			{true, usedDev, "maxUsers", 3, QuotaResult{Allowed: true, CurrentUsage: 9, Limit: 10}},
			{false, usedProd, "maxUsers", 1, QuotaResult{Allowed: true, CurrentUsage: 9, Limit: 10}},
			{false, usedProd, "maxUsers", 2, QuotaResult{ExceededQuota: "maxUsers", CurrentUsage: 9, Limit: 10}},
			{true, usedProd, "maxUsers", 2, QuotaResult{Allowed: true, CurrentUsage: 5, Limit: 10}}, // not a sum of reports
			{false, usedDev, "maxUsers", 2, QuotaResult{ExceededQuota: "maxUsers", CurrentUsage: 3, Limit: 4}},
			{true, usedDev, "maxUsers", 5, QuotaResult{ExceededQuota: "maxUsers", CurrentUsage: 5, Limit: 4}},
			{true, usedProd, "maxObjects", 1 << 50, QuotaResult{Allowed: true, CurrentUsage: 1 << 50}}, // no limit
			{true, usedProd, "maxRecordsPerObject", 90, QuotaResult{Allowed: true, CurrentUsage: 90, Limit: 100}},
			{true, usedDev, "maxRecordsPerObject", 80, QuotaResult{Allowed: true, CurrentUsage: 90, Limit: 100}}, // the largest, no sum
			{false, usedDev, "maxRecordsPerObject", 100, QuotaResult{Allowed: true, CurrentUsage: 90, Limit: 100}},
			{false, usedDev, "maxRecordsPerObject", 101, QuotaResult{ExceededQuota: "maxRecordsPerObject", CurrentUsage: 90, Limit: 100}},
			{true, usedProd, "maxDeploymentsPerDay", 2, QuotaResult{Allowed: true, CurrentUsage: 2, Limit: 2}},
			{false, usedDev, "maxDeploymentsPerDay", 1, QuotaResult{ExceededQuota: "maxDeploymentsPerDay", CurrentUsage: 2, Limit: 2}},
		} {
			ask := s.CheckUsage
			if step.report {
				ask = s.ReportUsage
			}
			got, err := ask(t.Context(), ResourceUsage{Environment: step.env, Metric: step.metric, Used: step.used})
			if err != nil {
				t.Fatal(err)
			}
			if (got.Message == "") != got.Allowed {
				t.Errorf("step %d: message %q", i, got.Message)
			}
			if got.Message = ""; got != step.want {
				t.Errorf("step %d: %+v, want %+v", i, got, step.want)
			}
		}
		now = now.Add(11 * time.Hour) // the next day
		if got, err := s.CheckUsage(t.Context(), ResourceUsage{Tenant: usedTenantID, Metric: "maxDeploymentsPerDay", Used: 1}); err != nil || !got.Allowed || got.CurrentUsage != 0 {
			t.Errorf("the next day: %+v, %v", got, err)
		}
		list, err := s.ResourceUsage(t.Context(), usedTenantID)
		if err != nil || len(list) != 6 || list[0].Metric != "maxDeploymentsPerDay" || list[0].Used != 2 ||
			!list[0].Day.Equal(startOfDay(leapDay)) || list[0].Environment != usedProd || list[0].UpdatedAt.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
		run(t, s, `DELETE FROM sys_environment WHERE id = ?1`, usedDev.String())
		if n := one[int](t, s, `SELECT count(*) FROM sys_resource_usage`); n != 4 {
			t.Errorf("%d rows after the environment went", n)
		}
		run(t, s, `DELETE FROM sys_organization WHERE id = ?1`, usedTenant)
		if n := one[int](t, s, `SELECT count(*) FROM sys_resource_usage`); n != 0 {
			t.Errorf("%d rows after the tenant went", n)
		}
	})
}

// Promise: nonsense is told apart from an unknown tenant, and both from a registry that is away.
func TestResourceUsageRefused(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	usedWorld(t, s)
	for _, u := range []ResourceUsage{
		{Tenant: usedTenantID, Metric: "requests", Used: 1},
		{Tenant: usedTenantID, Metric: "", Used: 1},
		{Tenant: usedTenantID, Metric: "maxUsers", Used: -1},
		{Tenant: usedTenantID, Metric: "maxUsers", Used: MaxQuota + 1},
	} {
		if _, err := s.ReportUsage(t.Context(), u); !errors.Is(err, ErrResource) {
			t.Errorf("%+v: %v", u, err)
		}
	}
	for _, u := range []ResourceUsage{
		{Metric: "maxUsers"},
		{Tenant: uuid.MustParse("0190a000-0000-7000-8000-00000000ffff"), Metric: "maxUsers"},
		{Tenant: uuid.MustParse(usedOther), Environment: usedProd, Metric: "maxUsers"}, // another tenant's environment
	} {
		if _, err := s.CheckUsage(t.Context(), u); !errors.Is(err, ErrNotFound) {
			t.Errorf("%+v: %v", u, err)
		}
	}
}
