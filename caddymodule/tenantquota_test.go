package caddymodule

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
)

func replaceOnce(t *testing.T, s, old, with string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is %d times in %s", old, strings.Count(s, old), s)
	}
	return strings.Replace(s, old, with, 1)
}

// testQuota builds a tenant_quota handler as Provision does.
func testQuota(t *testing.T, h *Handler, q *TenantQuota) *TenantQuota {
	t.Helper()
	q.runtime, q.logger = h.runtime, slog.New(slog.DiscardHandler)
	if err := q.build(); err != nil {
		t.Fatal(err)
	}
	return q
}

// chain runs a request through tenant and several tenant_quota.
func chain(t *testing.T, h *Handler, target string, quotas ...*TenantQuota) *response {
	t.Helper()
	w, r := testRequest(http.MethodGet, target, nil)
	next := caddyhttp.Handler(caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}))
	for i := len(quotas) - 1; i >= 0; i-- {
		q, after := quotas[i], next
		next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return q.ServeHTTP(w, r, after) })
	}
	if err := h.ServeHTTP(w, r, next); err != nil {
		t.Fatal(err)
	}
	return &response{w.Code, w.Header(), w.Body.String()}
}

// TestTenantQuotaHandlers keeps the promises of tenant_quota: several count each for itself, tenants are apart, its slots
// come back, cost charges the tenant's own limits all or none, a refused request spends nothing anywhere, and the headers
// tell of all.
func TestTenantQuotaHandlers(t *testing.T) {
	free := globex()
	free.Tenant.Quotas, free.Environment.Quotas = registry.Quotas{MaxAPICallsPerDay: 10, MaxConcurrentRequests: 1}, nil
	h := testHandler(t, testApp(t, free, acme()), &Handler{Exempt: []string{"/free"}}, subdomains())
	narrow := testQuota(t, h, &TenantQuota{Name: "narrow", RequestsPerDay: 2})
	wide := testQuota(t, h, &TenantQuota{Name: "wide", RequestsPerDay: 100, Concurrency: 1, Cost: 3})
	for i, want := range []string{`"narrow-day";r=1`, `"narrow-day";r=0`} {
		res := chain(t, h, "http://acme.app.test/", wide, narrow)
		if got := res.Header.Get("RateLimit"); res.StatusCode != http.StatusOK || !strings.Contains(got, want) || len(res.Header["Ratelimit"]) != 1 {
			t.Errorf("request %d: %d, %s", i+1, res.StatusCode, got)
		}
	}
	if res := chain(t, h, "http://acme.app.test/", wide, narrow); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d", res.StatusCode)
	}
	if res := chain(t, h, "http://acme.app.test/", wide); res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("RateLimit"), `"wide-day";r=91;`) ||
		!strings.HasSuffix(res.Header.Get("RateLimit"), `"wide-concurrency";r=0`) {
		t.Errorf("%d, %s", res.StatusCode, res.Header.Get("RateLimit"))
	}
	if res := chain(t, h, "http://globex.app.test/", narrow); res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("RateLimit"), `"day";r=9;`) {
		t.Errorf("another tenant: %d, %s", res.StatusCode, res.Header.Get("RateLimit"))
	}
	for range 3 {
		if res := chain(t, h, "http://acme.app.test/free", narrow); res.StatusCode != http.StatusOK {
			t.Errorf("without a tenant: %d", res.StatusCode)
		}
	}
	heavy := testQuota(t, h, &TenantQuota{Cost: 6})
	res := chain(t, h, "http://globex.app.test/", heavy, narrow)
	if got := res.Header.Get("RateLimit"); res.StatusCode != http.StatusOK || !strings.Contains(got, `"day";r=3;`) || !strings.Contains(got, `"concurrency";r=0, "narrow-day";r=0;`) {
		t.Errorf("cost: %d, %s", res.StatusCode, got)
	}
	res = chain(t, h, "http://globex.app.test/", heavy)
	if got := res.Header.Get("RateLimit"); res.StatusCode != http.StatusTooManyRequests || !strings.Contains(got, `"day";r=2;`) { // tenant's one, and none of the other five
		t.Errorf("cost beyond the limit: %d, %s", res.StatusCode, got)
	}
	for _, want := range []string{`"day";r=2;`, `"day";r=1;`, `"day";r=0;`} { // three were left, and are still
		if res := chain(t, h, "http://globex.app.test/"); res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("RateLimit"), want) {
			t.Errorf("after what was refused: %d, %s, want %s", res.StatusCode, res.Header.Get("RateLimit"), want)
		}
	}
}

// TestTenantQuotaRefused keeps the promise that a configuration in JSON that makes no sense is refused.
func TestTenantQuotaRefused(t *testing.T) {
	for name, q := range map[string]*TenantQuota{
		"nothing":              {},
		"name":                 {Name: "No Name", Cost: 2},
		"negative":             {Requests: -1},
		"above 2^53":           {RequestsPerMonth: registry.MaxQuota + 1},
		"period":               {Requests: 1, Period: 1},
		"burst alone":          {Burst: 5, Cost: 2},
		"burst that never is":  {Requests: 1, Burst: registry.MaxQuota},
		"cost":                 {Cost: -1},
		"cost beyond the day":  {RequestsPerDay: 5, Cost: 6},
		"key without a limit":  {Cost: 2, Key: "{client_ip}"},
		"shadow without limit": {Cost: 2, Shadow: true},
		"concurrency":          {Concurrency: -1},
	} {
		if q.build() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
