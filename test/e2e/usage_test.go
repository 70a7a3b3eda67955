package e2e_test

import (
	"database/sql"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// recorded is what the registry says that a tenant as a whole has used.
func recorded(t *testing.T, db *sql.DB, tenant string) (sum int64) {
	t.Helper()
	row := db.QueryRowContext(t.Context(), `SELECT coalesce(sum(used), 0) FROM sys_usage
 WHERE organization_id = ?1 AND environment_id = '' AND api_key_id = '' AND metric = 'requests'`, tenant)
	if err := row.Scan(&sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

// remaining is r of a policy in the RateLimit header.
func remaining(t *testing.T, answer harness.Answer, policy string) int64 {
	t.Helper()
	m := regexp.MustCompile(`"` + policy + `";r=(\d+)`).FindStringSubmatch(answer.Header.Get("RateLimit"))
	if m == nil {
		t.Fatalf("status %d: RateLimit %q has no %s", answer.Status, answer.Header.Get("RateLimit"), policy)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// billed fails the test where the CSV for billing does not have a row for the tenant globex as a whole and one for its
// environment, each with so many requests since the test began, whatever day it is.
func billed(t *testing.T, b backend, used int) {
	t.Helper()
	out := cliOn(t, b).ok(t, "usage", "list", "globex", "--since", "48h", "--period", "day", "--csv")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) == 0 || !slices.Equal(rows[0], registry.UsageCSVHeader) {
		t.Fatalf("%v in\n%s", err, out)
	}
	sums := map[string]int{}
	for _, r := range rows[1:] {
		n, err := strconv.Atoi(r[8])
		if err != nil || r[0] != globexID || r[1] != "globex" || r[5] != "requests" || r[6] != "day" {
			t.Errorf("row %q (%v)", r, err)
		}
		sums[r[3]] += n
	}
	if len(sums) != 2 || sums[""] != used || sums["production"] != used {
		t.Errorf("billed %v, want %d for the tenant and its environment:\n%s", sums, used, out)
	}
}

// Promise: an allowance per month survives a clean stop and a reload to the request; after kill -9, what was counted since the
// last flush is missing and nothing else. When it is used up, 429 says until when, and another tenant does not notice.
func TestAllowanceSurvives(t *testing.T) {
	const month = 40
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		d := someTenants(u)
		d.Tenants[1].Quotas = map[string]int{"maxApiCallsPerMonth": month}
		b.load(t, d)
		db := harness.OpenSQL(t, strings.Replace(b.url, "ws", "http", 1), b.token)
		o := harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, ""), Env: b.env(), Dir: t.TempDir()}
		began := time.Now().UTC()
		g := harness.Start(t, o)
		spend := func(n int) (left int64) {
			t.Helper()
			for range n {
				answer := g.Get(t, "globex.app.test", "/")
				if answer.Status != 200 {
					t.Fatalf("status %d: %s", answer.Status, answer.Body)
				}
				left = remaining(t, answer, "month")
			}
			return left
		}
		if left := spend(10); left != month-10 {
			t.Errorf("%d left after 10", left)
		}
		g.Stop(t)
		if n := recorded(t, db, globexID); n != 10 {
			t.Errorf("%d recorded after a clean stop", n)
		}
		billed(t, b, 10)
		g = harness.Start(t, o)
		if left := spend(5); left != month-15 {
			t.Errorf("%d left after a restart and 15", left)
		}
		reloaded := o
		reloaded.Site = fmt.Sprintf(refusingSite, "headers X-RateLimit")
		if r := g.Reload(t, reloaded); r.ExitCode != 0 {
			t.Fatal(r.Output())
		}
		if left := spend(1); left != month-16 {
			t.Errorf("%d left after a reload and 16", left)
		}
		harness.Eventually(t, 20*time.Second, func() error {
			if n := recorded(t, db, globexID); n != 16 {
				return fmt.Errorf("%d recorded, want 16", n)
			}
			return nil
		})
		const unsaved = 4
		spend(unsaved)
		g.Kill()
		saved := recorded(t, db, globexID)
		if saved < 16 || saved > 16+unsaved {
			t.Errorf("%d recorded after kill -9, want 16 to %d", saved, 16+unsaved)
		}
		g = harness.Start(t, o)
		allowed := int64(0)
		var refused harness.Answer
		for refused.Status == 0 {
			switch answer := g.Get(t, "globex.app.test", "/"); answer.Status {
			case 200:
				allowed++
			case 429:
				refused = answer
			default:
				t.Fatalf("status %d: %s", answer.Status, answer.Body)
			}
			if allowed > month {
				t.Fatal("nothing was ever refused")
			}
		}
		if began.Month() != time.Now().UTC().Month() {
			return // a new month has begun meanwhile, with a new allowance
		}
		if allowed != month-saved {
			t.Errorf("%d more were allowed after %d of %d were recorded", allowed, saved, month)
		}
		if got := refused.Header.Get("RateLimit-Policy"); got != fmt.Sprintf(`"month";q=%d`, month) {
			t.Errorf("RateLimit-Policy is %q", got)
		}
		wait, err := strconv.ParseInt(refused.Header.Get("Retry-After"), 10, 64)
		if passes := time.Now().Add(time.Duration(wait) * time.Second); err != nil || passes.UTC().Day() != 1 ||
			time.Now().Add(time.Duration(wait)*time.Second-time.Minute).UTC().Month() != began.Month() {
			t.Errorf("Retry-After is %q", refused.Header.Get("Retry-After"))
		}
		p := refused.Problem(t)
		if p.Code != "quota_exceeded" || p.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" ||
			p.ExceededQuota != "maxApiCallsPerMonth" || *p.Limit != month || *p.CurrentUsage != month ||
			!strings.Contains(refused.Body, `"violated-policies":["month"]`) {
			t.Errorf("the problem is %s", refused.Body)
		}
		if got := g.Get(t, "acme.app.test", "/").Status; got != 200 {
			t.Errorf("another tenant got status %d", got)
		}
	})
}

// Promise: two gateways without Redis know within a few seconds what the other has let pass.
func TestAllowanceOfTwoGateways(t *testing.T) {
	const day = 20
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	d.Tenants[1].Quotas = map[string]int{"maxApiCallsPerDay": day}
	b.load(t, d)
	o := harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "")}
	one, two := harness.Start(t, o), harness.Start(t, o)
	for range 9 {
		one.Get(t, "globex.app.test", "/")
	}
	two.Get(t, "globex.app.test", "/")
	sent, today := int64(10), time.Now().UTC().Day()
	harness.Eventually(t, 20*time.Second, func() error {
		sent++
		left := remaining(t, two.Get(t, "globex.app.test", "/"), "day")
		if left != max(day-sent, 0) && today == time.Now().UTC().Day() {
			return fmt.Errorf("%d left after %d", left, sent)
		}
		return nil
	})
}

// Promise: requests in flight are limited for the tenant as a whole; a slot is free again when its request has ended, also when
// the client has gone; a request that is refused holds none.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	const most = 3
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	d.Plans[0].Quotas = map[string]int{"maxConcurrentRequests": most}
	b.load(t, d)
	g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "")})
	statuses := make(chan int, 2*most)
	var wg sync.WaitGroup
	for range 2 * most {
		wg.Go(func() {
			statuses <- g.Send(t, harness.Ask{Host: "globex.app.test", Header: map[string]string{harness.DelayHeader: "3s"}}).Status
		})
	}
	got := map[int]int{}
	for range most {
		got[<-statuses]++ // those that are refused come back at once
	}
	if got[429] != most {
		t.Errorf("of %d at once, the first to come back were %v", 2*most, got)
	}
	refused := g.Get(t, "globex.app.test", "/")
	if p := refused.Problem(t); refused.Status != 429 || p.ExceededQuota != "maxConcurrentRequests" || *p.Limit != most ||
		refused.Header.Get("Retry-After") != "1" || refused.Header.Get("RateLimit") != `"concurrency";r=0` {
		t.Errorf("status %d, %v, %s", refused.Status, refused.Header, refused.Body)
	}
	if got := refused.Header.Get("RateLimit-Policy"); got != `"concurrency";q=3;qu="concurrent-requests"` {
		t.Errorf("RateLimit-Policy is %q", got)
	}
	wg.Wait()
	for range 2 * most { // one after the other
		answer := g.Get(t, "globex.app.test", "/")
		if answer.Status != 200 || remaining(t, answer, "concurrency") != most-1 {
			t.Errorf("status %d, RateLimit %q", answer.Status, answer.Header.Get("RateLimit"))
		}
	}
}

// Promise: tenant_quota puts limits of its own on some routes, within each tenant and for each value of its key; cost alone
// charges the tenant's own limits for more than one; shadow refuses nothing.
func TestTenantQuota(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	for i := range d.Tenants {
		d.Tenants[i].Quotas = map[string]int{"apiRateLimit": 1, "burst": 200}
	}
	b.load(t, d)
	g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: `tenant {
	identify subdomain {tenant}.app.test
}
tenant_quota /limited/* exports {
	requests 1/h burst 2
	requests 100/day
	key {http.request.header.X-Customer}
}
tenant_quota /heavy {
	cost 50
}
tenant_quota /shadow {
	requests 1/h
	shadow
}
reverse_proxy {
	dynamic tenant
}
`})
	get := func(host, path, customer string) harness.Answer {
		t.Helper()
		return g.Send(t, harness.Ask{Host: host, Path: path, Header: map[string]string{"X-Customer": customer}})
	}
	for _, who := range [][2]string{{"acme", "a"}, {"acme", "b"}, {"globex", "a"}} {
		for i := range 4 {
			answer := get(who[0]+".app.test", "/limited/x", who[1])
			if want := map[bool]int{true: 200, false: 429}[i < 2]; answer.Status != want {
				t.Errorf("%v, request %d: status %d", who, i+1, answer.Status)
			}
			if got := answer.Header.Get("RateLimit-Policy"); got != `"requests";q=1;w=60, "exports";q=1;w=3600, "exports-day";q=100;w=86400` {
				t.Errorf("RateLimit-Policy is %q", got)
			}
			if left := remaining(t, answer, "exports-day"); left != int64(98+max(1-i, 0)) {
				t.Errorf("%v, request %d: %d left of the day: a refused request must spend nothing of tenant_quota's limits", who, i+1, left)
			}
			if answer.Status == 429 && answer.Problem(t).ExceededQuota != "exports" {
				t.Error(answer.Body)
			}
		}
	}
	before := remaining(t, get("globex.app.test", "/", ""), "requests")
	if left := remaining(t, get("globex.app.test", "/heavy", ""), "requests"); left != before-50 {
		t.Errorf("%d left of %d after a request that costs 50", left, before)
	}
	for range 5 {
		if answer := get("globex.app.test", "/shadow", ""); answer.Status != 200 || strings.Contains(answer.Header.Get("RateLimit"), "route") {
			t.Errorf("shadow: status %d, RateLimit %q", answer.Status, answer.Header.Get("RateLimit"))
		}
	}
	for range 10 {
		if answer := get("globex.app.test", "/heavy", ""); answer.Status == 429 {
			if p := answer.Problem(t); p.ExceededQuota != "apiRateLimit" {
				t.Error(answer.Body)
			}
			return
		}
	}
	t.Error("heavy requests were never refused")
}
