package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a burst is served, then requests are refused with 429, and after as many seconds as Retry-After says there
// is room again.
func TestRateLimit(t *testing.T) {
	const burst, perMinute = 3, 120
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		d := someTenants(u)
		d.Tenants[1].Quotas = map[string]int{"apiRateLimit": perMinute, "burst": burst}
		b.load(t, d)
		g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, ""), Env: b.env()})

		var allowed int
		var refused harness.Answer
		began := time.Now()
		for refused.Status == 0 {
			answer := g.Get(t, "globex.app.test", "/")
			switch answer.Status {
			case 200:
				allowed++
				if got := answer.Header.Get("RateLimit-Policy"); !strings.HasPrefix(got, `"requests";q=`) {
					t.Errorf("RateLimit-Policy is %q", got)
				}
				if got := answer.Header.Get("RateLimit"); !strings.HasPrefix(got, `"requests";r=`) || !strings.Contains(got, ";t=") {
					t.Errorf("RateLimit is %q", got)
				}
			case 429:
				refused = answer
			default:
				t.Fatalf("status %d: %s", answer.Status, answer.Body)
			}
			if allowed > 1000 {
				t.Fatal("nothing was ever refused")
			}
		}
		if most := burst + int(time.Since(began).Seconds()*perMinute/60) + 1; allowed < burst || allowed > most {
			t.Errorf("%d requests were allowed, want %d to %d", allowed, burst, most)
		}
		if got := refused.Header.Get("Retry-After"); got != "1" {
			t.Fatalf("Retry-After is %q, want 1", got)
		}
		if got := refused.Header.Get("RateLimit"); !strings.HasPrefix(got, `"requests";r=0;t=`) {
			t.Errorf("RateLimit of a refusal is %q", got)
		}
		p := refused.Problem(t)
		if p.Code != "quota_exceeded" || p.Allowed == nil || *p.Allowed || p.ExceededQuota != "apiRateLimit" ||
			p.Limit == nil || *p.Limit <= 0 || p.CurrentUsage == nil || p.Message == "" {
			t.Errorf("the problem is %s", refused.Body)
		}
		if got := g.Get(t, "acme.app.test", "/").Status; got != 200 {
			t.Errorf("another tenant got status %d", got)
		}
		<-time.After(time.Second) // what Retry-After promised
		if got := g.Get(t, "globex.app.test", "/"); got.Status != 200 {
			t.Errorf("after Retry-After: status %d", got.Status)
		}
	})
}

// Promise: an environment's own limit comes on top of its tenant's, which counts across all environments; and a request
// that one of the two refuses spends from neither.
func TestEnvironmentRateLimit(t *testing.T) {
	t.Parallel()
	const tenantBurst, devBurst = 10, 2
	u := startUpstreams(t)
	b := fileBackend(t)
	d := someTenants(u)
	// One request a minute: nothing comes back while the test runs.
	d.Tenants[0].Quotas = map[string]int{"apiRateLimit": 1, "burst": tenantBurst}
	d.Tenants[0].Environments[1].Quotas = map[string]int{"apiRateLimit": 1, "burst": devBurst}
	b.load(t, d)
	g := harness.Start(t, harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "headers X-RateLimit")})

	count := func(host string, requests int) (allowed int) {
		t.Helper()
		for range requests {
			switch answer := g.Get(t, host, "/"); answer.Status {
			case 200:
				allowed++
			case 429:
			default:
				t.Fatalf("%s: status %d: %s", host, answer.Status, answer.Body)
			}
		}
		return allowed
	}
	if got := count("acme--dev.app.test", 20); got != devBurst {
		t.Errorf("%d requests for dev were allowed, want %d", got, devBurst)
	}
	refused := g.Get(t, "acme--dev.app.test", "/")
	for _, policy := range []string{`"requests";q=`, `"environment";q=`} {
		if got := refused.Header.Get("RateLimit-Policy"); !strings.Contains(got, policy) {
			t.Errorf("RateLimit-Policy is %q, without %s", got, policy)
		}
	}
	if refused.Header.Get("X-RateLimit-Limit") == "" {
		t.Errorf("there is no X-RateLimit-Limit among %v", refused.Header)
	}
	if got := count("acme.app.test", 20); got != tenantBurst-devBurst {
		t.Errorf("%d requests for production were allowed, want %d: what dev was refused must not be spent", got, tenantBurst-devBurst)
	}
}
