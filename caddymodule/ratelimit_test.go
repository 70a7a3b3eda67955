package caddymodule

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// TestRateLimit keeps the promise of the rate limit headers, of the 429, and of its body.
func TestRateLimit(t *testing.T) {
	h := testHandler(t, testApp(t, globex(), acme()), &Handler{Headers: []string{familyXRateLimit}}, subdomains())
	for _, remaining := range []string{"1", "0"} {
		res, behind := serve(t, h, http.MethodGet, "http://globex.app.test/", nil)
		if behind == nil {
			t.Fatalf("refused with %s remaining", remaining)
		}
		if got, want := res.Header.Get("RateLimit-Policy"), `"requests";q=60;w=60, "environment";q=30;w=60`; got != want {
			t.Errorf("RateLimit-Policy: %s, not %s", got, want)
		}
		if got := res.Header.Get("X-RateLimit-Remaining"); got != remaining || res.Header.Get("X-RateLimit-Limit") != "2" {
			t.Errorf("X-RateLimit: %s of %s", got, res.Header.Get("X-RateLimit-Limit"))
		}
	}
	res, behind := serve(t, h, http.MethodGet, "http://globex.app.test/", nil)
	if behind != nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" {
		t.Fatalf("status %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if res.Header.Get("RateLimit") == "" || res.Header.Get("RateLimit-Policy") == "" {
		t.Errorf("headers of the refusal: %v", res.Header)
	}
	var body struct {
		Code          string
		Allowed       *bool
		ExceededQuota string
		CurrentUsage  int64
		Limit         int64
		Message       string
	}
	if err := json.Unmarshal([]byte(res.Body), &body); err != nil {
		t.Fatal(err)
	}
	if body.Code != "quota_exceeded" || body.Allowed == nil || *body.Allowed || body.ExceededQuota != "apiRateLimit" ||
		body.CurrentUsage != 2 || body.Limit != 2 || body.Message == "" {
		t.Errorf("body: %+v", body)
	}
	if res, _ := serve(t, h, http.MethodGet, "http://acme.app.test/", nil); res.Header.Get("RateLimit") != "" {
		t.Errorf("a tenant without limits has RateLimit %s", res.Header.Get("RateLimit"))
	}
}

// TestRateOf keeps the promise that quotas with a rate always limit, also where a plan's rate and a tenant's burst do not
// fit together, or a registry was written by hand.
func TestRateOf(t *testing.T) {
	for _, q := range []registry.Quotas{
		{APIRateLimit: 60, Burst: 20},
		{APIRateLimit: 1, Burst: registry.MaxQuota},
		{APIRateLimit: registry.MaxQuota, Burst: registry.MaxQuota},
		{APIRateLimit: math.MaxInt64},
		{APIRateLimit: -1, Burst: -1},
		{APIRateLimit: 60, Burst: math.MinInt64},
	} {
		if rateOf(&q).IsZero() {
			t.Errorf("%d requests a minute, burst %d: no limit", q.APIRateLimit, q.Burst)
		}
	}
}

// TestRateLimitOfUpstream keeps the promise that a client sees the gateway's rate limit headers and not an upstream's,
// while everything else of the response stays.
func TestRateLimitOfUpstream(t *testing.T) {
	h := testHandler(t, testApp(t, globex()), &Handler{}, subdomains())
	w, r := testRequest(http.MethodGet, "http://globex.app.test/", nil)
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-Other"} {
			w.Header().Add(name, "upstream") // as reverse_proxy does
		}
		w.WriteHeader(http.StatusTeapot)
		_, err := w.Write([]byte("body"))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := w.Header()
	if len(got["Ratelimit"]) != 1 || got.Get("RateLimit") == "upstream" || len(got["Ratelimit-Policy"]) != 1 || got.Get("RateLimit-Policy") == "upstream" {
		t.Errorf("headers: %v", got)
	}
	if got.Get("X-Other") != "upstream" || got.Get("X-RateLimit-Limit") != "upstream" || w.Code != http.StatusTeapot || w.Body.String() != "body" {
		t.Errorf("status %d, headers %v, body %s", w.Code, got, w.Body)
	}
}

// TestAppendLimits keeps the promise of which limits apply: the tenant's, and the environment's own on top.
func TestAppendLimits(t *testing.T) {
	for _, tt := range []struct {
		name                string
		tenant, environment registry.Quotas
		want                int
	}{
		{"none", registry.Quotas{}, registry.Quotas{Burst: 5}, 0},
		{"tenant", registry.Quotas{APIRateLimit: 60}, registry.Quotas{}, 1},
		{"environment", registry.Quotas{}, registry.Quotas{APIRateLimit: 60}, 1},
		{"both", registry.Quotas{APIRateLimit: 60, Burst: 1}, registry.Quotas{APIRateLimit: 60, Burst: 1}, 2},
		{"nonsense", registry.Quotas{APIRateLimit: -1}, registry.Quotas{APIRateLimit: 1, Burst: 1 << 62}, 2},
	} {
		res := globex()
		res.Tenant.Quotas, res.Environment.Quotas = tt.tenant, &tt.environment
		got := slices.DeleteFunc(appendLimits(nil, res, nil), func(l quota.Limit) bool { return l.Size() == 0 })
		if len(got) != tt.want {
			t.Errorf("%s: %d limits, not %d", tt.name, len(got), tt.want)
		}
	}
}
