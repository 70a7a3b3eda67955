package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

const usedTenant, usedOther = "0190a000-0000-7000-8000-00000000a001", "0190a000-0000-7000-8000-00000000a002"

var (
	usedTenantID = uuid.MustParse(usedTenant)
	usedProd     = uuid.MustParse("0190a000-0000-7000-8000-00000000a011")
	usedDev      = uuid.MustParse("0190a000-0000-7000-8000-00000000a012")
	usedKey      = uuid.MustParse("0190a000-0000-7000-8000-00000000a0f1")
	leapDay      = time.Date(2028, 2, 29, 13, 0, 0, 0, time.UTC)
)

// usedWorld makes two tenants, the first of them with two environments.
func usedWorld(t *testing.T, s *Store) {
	t.Helper()
	run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'acme', 'a'), (?2, 'globex', 'g')`, usedTenant, usedOther)
	run(t, s, `INSERT INTO sys_environment (id, organization_id, slug, name, is_default) VALUES (?1, ?3, 'production', 'p', 1), (?2, ?3, 'dev', 'd', 0)`,
		usedProd.String(), usedDev.String(), usedTenant)
	run(t, s, `INSERT INTO sys_environment (id, organization_id, slug, name, is_default) VALUES ('0190a000-0000-7000-8000-00000000a021', ?1, 'production', 'p', 1)`, usedOther)
}

func save(t *testing.T, s *Store, node string, records ...UsageRecord) {
	t.Helper()
	if err := s.SaveUsage(t.Context(), node, records); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, s *Store, node string, a ...UsageAccount) []UsageTotals {
	t.Helper()
	totals, err := s.LoadUsage(t.Context(), node, a)
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

// Promise: what several gateways count adds up; a flush that is repeated or comes late changes nothing; the earlier days of a
// month, a leap day among them, count for the month and those of other months do not.
func TestUsage(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		day := func(d int) UsageAccount {
			return UsageAccount{Tenant: usedTenantID, Environment: usedProd, Day: leapDay.AddDate(0, 0, d)}
		}
		for range 2 { // the second time changes nothing
			save(t, s, "a", UsageRecord{day(0), 7, 0}, UsageRecord{day(-1), 5, 0}, UsageRecord{day(-28), 3, 0}, UsageRecord{day(-29), 100, 0}, UsageRecord{day(1), 1000, 0})
			save(t, s, "b", UsageRecord{day(0), 11, 0}, UsageRecord{day(-1), 13, 0})
		}
		save(t, s, "a", UsageRecord{day(0), 6, 0}) // late
		whole := day(0)
		whole.Environment = uuid.Nil
		key := whole
		key.APIKey = usedKey
		route := whole
		route.Metric = "route:1"
		save(t, s, "a", UsageRecord{whole, 17, 0}, UsageRecord{key, 19, 0}, UsageRecord{route, MaxQuota, 0})
		got := load(t, s, "a", day(0), whole, key, route, day(1), UsageAccount{Tenant: uuid.MustParse(usedOther), Day: leapDay})
		want := []UsageTotals{{7, 11, 21}, {17, 0, 0}, {19, 0, 0}, {MaxQuota, 0, 0}, {1000, 0, 0}, {}} // the day after is in March
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		lowered := func(used, was int64) int64 {
			save(t, s, "a", UsageRecord{day(0), used, was})
			return load(t, s, "a", day(0))[0].Own
		}
		if a, b, c := lowered(6, 8), lowered(6, 7), lowered(6, 7); a != 7 || b != 6 || c != 6 {
			t.Errorf("a record that was too high: %d, %d, %d", a, b, c)
		}
		save(t, s, "a", UsageRecord{day(0), 7, 6})
		if got := load(t, s, "c", day(0))[0]; got != (UsageTotals{0, 18, 21}) {
			t.Errorf("another node sees %v", got)
		}
	})
}

// Promise: a tenant that was deleted takes its usage along, and holds up nobody else's.
func TestUsageOfDeletedTenant(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		gone, stays := UsageAccount{Tenant: uuid.MustParse(usedOther), Day: leapDay}, UsageAccount{Tenant: usedTenantID, Day: leapDay}
		save(t, s, "a", UsageRecord{gone, 1, 0}, UsageRecord{stays, 1, 0})
		run(t, s, `DELETE FROM sys_organization WHERE id = ?1`, usedOther)
		save(t, s, "a", UsageRecord{gone, 2, 0}, UsageRecord{stays, 2, 0})
		if n := one[int](t, s, `SELECT sum(used) FROM sys_usage`); n != 2 {
			t.Errorf("%d used", n)
		}
	})
}

// Promise: what cannot be usage is refused before it is sent.
func TestUsageRefused(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	fine := UsageAccount{Tenant: usedTenantID, Day: leapDay}
	long := fine
	long.Metric = strings.Repeat("m", 64)
	for name, f := range map[string]func() error{
		"no node":    func() error { return s.SaveUsage(t.Context(), "", nil) },
		"long node":  func() error { _, err := s.LoadUsage(t.Context(), strings.Repeat("n", 64), nil); return err },
		"no tenant":  func() error { return s.SaveUsage(t.Context(), "a", []UsageRecord{{}}) },
		"metric":     func() error { _, err := s.LoadUsage(t.Context(), "a", []UsageAccount{long}); return err },
		"negative":   func() error { return s.SaveUsage(t.Context(), "a", []UsageRecord{{fine, -1, 0}}) },
		"above 2^53": func() error { return s.SaveUsage(t.Context(), "a", []UsageRecord{{fine, MaxQuota + 1, 0}}) },
		"too many": func() error {
			_, err := s.LoadUsage(t.Context(), "a", make([]UsageAccount, MaxUsageBatch+1))
			return err
		},
		"period": func() error { _, err := s.ListUsage(t.Context(), UsageQuery{Period: "week"}); return err },
	} {
		if err := f(); err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Promise: many gateways that flush at once lose nothing.
func TestUsageFromManyNodes(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		a := UsageAccount{Tenant: usedTenantID, Day: leapDay}
		var wg sync.WaitGroup
		for n := range 6 {
			wg.Go(func() {
				for used := range int64(10) {
					if err := s.SaveUsage(t.Context(), fmt.Sprint("node", n), []UsageRecord{{a, used + 1, used}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := load(t, s, "x", a)[0]; got.Others != 60 {
			t.Errorf("%+v", got)
		}
	})
}

// Promise: usage is listed by day and month, page by page, as CSV too; days of old months are put together without changing
// what the months say; what is too old goes.
func TestListUsage(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		at := func(month time.Month, day int) time.Time { return time.Date(2028, month, day, 0, 0, 0, 0, time.UTC) }
		for _, r := range []UsageRecord{
			{UsageAccount{Tenant: usedTenantID, Environment: usedProd, Day: at(1, 31)}, 1, 0},
			{UsageAccount{Tenant: usedTenantID, Environment: usedProd, Day: at(2, 1)}, 2, 0},
			{UsageAccount{Tenant: usedTenantID, Environment: usedProd, Day: at(2, 29)}, 4, 0},
			{UsageAccount{Tenant: usedTenantID, Environment: usedDev, Day: at(2, 29)}, 8, 0},
			{UsageAccount{Tenant: usedTenantID, Day: at(2, 29)}, 14, 0},
			{UsageAccount{Tenant: usedTenantID, APIKey: usedKey, Day: at(2, 29)}, 3, 0},
			{UsageAccount{Tenant: usedTenantID, Metric: "route:1", Day: at(2, 29)}, 99, 0},
			{UsageAccount{Tenant: uuid.MustParse(usedOther), Day: at(2, 29)}, 16, 0},
		} {
			save(t, s, "a", r)
			r.Used *= 10
			save(t, s, "b", r)
		}
		text := func(q UsageQuery) string {
			t.Helper()
			var b bytes.Buffer
			w := csv.NewWriter(&b)
			for {
				rows, err := s.ListUsage(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for i := range rows {
					fields := rows[i].CSV()
					if err := w.Write([]string{fields[7], fields[1], fields[3], fmt.Sprint(fields[4] != ""), fields[8]}); err != nil {
						t.Fatal(err)
					}
				}
				if len(rows) == 0 {
					w.Flush()
					return strings.TrimSpace(strings.ReplaceAll(b.String(), "\n", " "))
				}
				q.After = rows[len(rows)-1].Cursor
			}
		}
		const months = "2028-01-01,acme,production,false,11 2028-02-01,acme,,false,154 2028-02-01,acme,,true,33 " +
			"2028-02-01,acme,production,false,66 2028-02-01,acme,dev,false,88 2028-02-01,globex,,false,176"
		for limit := range 3 {
			if got := text(UsageQuery{Limit: limit}); got != months {
				t.Errorf("pages of %d: %s", limit, got)
			}
		}
		if got, want := text(UsageQuery{Tenant: usedTenantID, Period: UsageByDay, From: at(2, 1), To: at(2, 2)}), "2028-02-01,acme,production,false,22"; got != want {
			t.Errorf("got %s", got)
		}
		for range 2 { // the second time finds nothing
			if err := s.TrimUsage(t.Context(), at(3, 1), at(1, 1)); err != nil {
				t.Fatal(err)
			}
			if got := text(UsageQuery{}); got != months {
				t.Errorf("after the days were put together: %s", got)
			}
		}
		if got := text(UsageQuery{Period: UsageByDay}); got != "" {
			t.Errorf("days left: %s", got)
		}
		if err := s.TrimUsage(t.Context(), at(3, 1), at(2, 1)); err != nil {
			t.Fatal(err)
		}
		if got := text(UsageQuery{}); got != strings.TrimPrefix(months, "2028-01-01,acme,production,false,11 ") {
			t.Errorf("after old months went: %s", got)
		}
	})
}

// Promise: whatever accounts one call mixes — of tenants, environments, API keys, keys within an environment, limits on
// routes whose names hold anything, other days and months — each gets its own count, and is read back in the order asked.
func TestUsageOfAllKinds(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		usedWorld(t, s)
		var records []UsageRecord
		for _, tenant := range []uuid.UUID{usedTenantID, uuid.MustParse(usedOther)} {
			for _, environment := range []uuid.UUID{uuid.Nil, usedProd, usedDev} {
				for _, key := range []uuid.UUID{uuid.Nil, usedKey} {
					for _, metric := range []string{"", "route:1", `a"b\c`, "größe %s $1", strings.Repeat("é", 31)} {
						for _, day := range []int{0, -1, 1} {
							a := UsageAccount{Tenant: tenant, Environment: environment, APIKey: key, Metric: metric, Day: leapDay.AddDate(0, 0, day)}
							records = append(records, UsageRecord{a, int64(len(records) + 1), 0})
						}
					}
				}
			}
		}
		save(t, s, "a", records...)
		accounts := make([]UsageAccount, len(records))
		for i := range records {
			accounts[i] = records[len(records)-1-i].UsageAccount
		}
		for i, got := range load(t, s, "a", accounts...) {
			r := records[len(records)-1-i]
			if r.Metric == "" {
				r.Metric = MetricRequests
			}
			want := UsageTotals{Own: r.Used}
			for _, other := range records { // of February: today and the day before
				same := other.Tenant == r.Tenant && other.Environment == r.Environment && other.APIKey == r.APIKey && other.metric() == r.Metric
				if same && !other.Day.Equal(r.Day) && other.Day.Month() == r.Day.Month() {
					want.Rest += other.Used
				}
			}
			if got != want {
				t.Errorf("%+v: got %+v, want %+v", r.UsageAccount, got, want)
			}
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_usage WHERE used > 0 AND environment_id <> ?1 AND api_key_id <> ?1`, nilID); n != len(records) {
			t.Errorf("%d rows of %d", n, len(records))
		}
	})
}

// Promise: sums that a server makes up are never taken for usage.
func TestParseTotals(t *testing.T) {
	for text, want := range map[string]UsageTotals{
		"0 0 0":                   {},
		"7 11 21":                 {7, 11, 21},
		"9007199254740992 0 -1":   {MaxQuota, 0, -1},
		"":                        {-1, -1, -1},
		"1 2":                     {-1, -1, -1},
		"1 2 3 4":                 {-1, -1, -1},
		"1 2 3 ":                  {-1, -1, -1},
		"1 2 x":                   {-1, -1, -1},
		"1.5 2 3":                 {-1, -1, -1},
		"9223372036854775808 0 0": {-1, -1, -1},
	} {
		got, ok := parseTotals([]byte(text))
		if refused := want.Own < 0; ok == refused || ok && got != want {
			t.Errorf("%q: %+v %v", text, got, ok)
		}
	}
}
