package adminapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// Promise: every path and method of the OpenAPI document is served, and no other method of these paths: 405 says which
// there are.
func TestDocumentIsWhatIsServed(t *testing.T) {
	w := newWorld(t)
	if len(w.doc.Paths) < 25 {
		t.Fatalf("the document has only %d paths", len(w.doc.Paths))
	}
	for template, operations := range w.doc.Paths {
		path := strings.NewReplacer("{tenant}", "nobody", "{environment}", "none", "{user}", "u", "{key}", "k", "{plan}", "p", "{alias}", "a", "{domain}", "d.test", "{credential}", "c").Replace(template)
		if strings.Contains(path, "{") {
			t.Errorf("%s has a parameter that the test does not know", template)
		}
		for _, method := range []string{"get", "post", "put", "patch", "delete", "options", "trace"} {
			_, there := operations[method]
			r := w.ask(strings.ToUpper(method), path, "")
			switch {
			case there && r.StatusCode == http.StatusMethodNotAllowed:
				t.Errorf("%s %s is in the document, and refused", method, path)
			case there && strings.Contains(string(r.text), adminapi.CodeNoRoute):
				t.Errorf("%s %s is in the document, and unknown", method, path)
			case !there && r.StatusCode != http.StatusMethodNotAllowed:
				t.Errorf("%s %s is not in the document: %d %s", method, path, r.StatusCode, r.text)
			case !there:
				for _, allowed := range strings.Split(r.Header.Get("Allow"), ", ") {
					if _, ok := operations[strings.ToLower(allowed)]; !ok && allowed != http.MethodHead {
						t.Errorf("%s: Allow has %s", path, allowed)
					}
				}
			}
		}
	}
	w.refused(404, adminapi.CodeNoRoute, "", "GET", "/tenants/_nothing", "")
	w.refused(404, adminapi.CodeNoRoute, "", "GET", "/tenants/acme/nothing", "")
}

// Promise: the whole life of a tenant by the API: each step answers with what is there then, and is in the audit log with
// its actor.
func TestLifeOfATenant(t *testing.T) {
	w := newWorld(t)
	r := w.want(201, "POST", "/tenants", `{"slug": "acme", "name": "Acme Corp", "quotas": {"apiRateLimit": 60},
		"environments": [{"slug": "production", "isDefault": true, "upstreams": ["127.0.0.1:9000"], "region": "eu"}, {"slug": "dev", "isDefault": false}]}`, "X-Actor", "alice")
	acme := into[registry.Tenant](t, r)
	if r.Header.Get("ETag") != `"1"` || r.Header.Get("Location") != "/tenants/"+acme.ID.String() || acme.Status != "active" {
		t.Errorf("created: %v %+v", r.Header, acme)
	}
	if got := into[registry.Tenant](t, w.want(200, "GET", r.Header.Get("Location"), "")); got.Slug != "acme" {
		t.Errorf("at its Location: %+v", got)
	}
	r = w.want(200, "GET", "/tenants/acme", "")
	w.want(304, "GET", "/tenants/acme", "", "If-None-Match", r.Header.Get("ETag"))
	w.want(200, "HEAD", "/tenants/acme", "")

	r = w.want(200, "PATCH", "/tenants/acme", `{"name": "Acme", "slug": "acme-inc", "keepAlias": true, "subscriptionExpiresAt": "2030-01-01T00:00:00Z"}`, "If-Match", `"1"`)
	if got := into[registry.Tenant](t, r); got.Name != "Acme" || got.Version != 2 || r.Header.Get("ETag") != `"2"` {
		t.Errorf("changed: %v %+v", r.Header, got)
	}
	if list := into[adminapi.List[registry.Alias]](t, w.want(200, "GET", "/tenants/acme/aliases", "")); len(list.Items) != 1 || list.Items[0].Slug != "acme" {
		t.Errorf("aliases: %+v", list)
	}
	w.want(204, "DELETE", "/tenants/acme-inc/aliases/acme", "")
	w.refused(404, "not_found", "", "GET", "/tenants/acme", "")

	for _, step := range []struct {
		action string
		status registry.Status
	}{{"suspend", "suspended"}, {"restore", "active"}, {"archive", "archived"}, {"restore", "active"}, {"archive", "archived"}} {
		got := into[registry.Tenant](t, w.want(200, "POST", "/tenants/acme-inc/"+step.action, `{"reason": "a test"}`, "X-Actor", "bob"))
		if got.Status != step.status || got.StatusReason != "a test" {
			t.Errorf("%s: %+v", step.action, got)
		}
	}
	w.refused(409, "state_conflict", "", "POST", "/tenants/acme-inc/suspend", "")
	w.refused(409, "protected", "", "POST", "/tenants/acme-inc/destroy", "")
	w.refused(409, "protected", "", "POST", "/tenants/acme-inc/destroy", `{"force": "acme"}`)
	w.want(200, "POST", "/tenants/acme-inc/destroy", `{"force": "acme-inc"}`)
	w.refused(409, "protected", "", "DELETE", "/tenants/acme-inc", "")
	w.want(204, "DELETE", "/tenants/acme-inc?force=acme-inc", "", "X-Actor", "carol")
	w.refused(404, "not_found", "", "GET", "/tenants/"+acme.ID.String(), "")

	list := into[adminapi.List[registry.AuditEntry]](t, w.want(200, "GET", "/tenants/_audit?tenant="+acme.ID.String(), ""))
	var actions []string
	for _, e := range list.Items {
		actions = append(actions, strings.TrimPrefix(e.Action, "organization."))
		if e.RequestID == "" || e.ActorKind != "local" {
			t.Errorf("audit: %+v", e)
		}
	}
	if got, want := strings.Join(actions, " "), "delete destroy archive restore archive restore suspend unalias update create"; got != want {
		t.Errorf("audit: %s, want %s", got, want)
	}
	if list.Items[0].Actor != "carol" || list.Items[2].Actor != "bob" || list.Items[9].Actor != "alice" || list.Items[8].Actor != "admin" {
		t.Errorf("actors: %+v", list.Items)
	}
	if by := into[adminapi.List[registry.AuditEntry]](t, w.want(200, "GET", "/tenants/_audit?actor=bob&action=organization.suspend", "")); len(by.Items) != 1 {
		t.Errorf("filtered: %+v", by)
	}
	if none := into[adminapi.List[registry.AuditEntry]](t, w.want(200, "GET", "/tenants/_audit?until=2001-01-01T00:00:00Z", "")); len(none.Items) != 0 {
		t.Errorf("before it all: %+v", none)
	}
}

// Promise: environments, members, keys and plans have the same verbs, and a key is shown once and never kept.
func TestWhatBelongsToATenant(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	const of = "/tenants/acme/environments"
	dev := into[registry.Environment](t, w.want(201, "POST", of, `{"slug": "dev", "members": [{"userId": "u1", "role": "env_user"}]}`))
	w.want(200, "PATCH", of+"/dev", `{"region": "eu-west-1", "upstreams": ["127.0.0.1:9001"], "database": {"driver": "libsql"}}`, "If-Match", `"1"`)
	w.want(200, "POST", of+"/dev/default", "")
	w.refused(409, "protected", "", "POST", of+"/production/archive", "")
	w.want(200, "POST", of+"/production/archive", `{"force": "production"}`)
	w.want(204, "DELETE", of+"/production?force=production", "")
	w.want(200, "POST", of+"/dev/suspend", "")
	w.want(200, "POST", of+"/"+dev.ID.String()+"/restore", "")
	if list := into[adminapi.List[registry.Environment]](t, w.want(200, "GET", of+"?status=active&type=development", "")); len(list.Items) != 1 || !list.Items[0].Default {
		t.Errorf("environments: %+v", list)
	}

	member := into[registry.Member](t, w.want(201, "POST", of+"/dev/members", `{"userId": "auth0|a/b ü", "role": "env_admin"}`))
	path := w.want(201, "POST", of+"/dev/members", `{"userId": "u 2", "role": "env_user"}`).Header.Get("Location")
	w.want(200, "PATCH", path, `{"role": "env_maker"}`)
	w.want(204, "DELETE", path, "", "If-Match", `"2"`)
	w.want(200, "GET", of+"/dev/members/auth0%7Ca%2Fb%20%C3%BC", "")
	if list := into[adminapi.List[registry.Member]](t, w.want(200, "GET", of+"/dev/members?role=env_admin", "")); len(list.Items) != 1 || list.Items[0].UserID != member.UserID {
		t.Errorf("members: %+v", list)
	}

	r := w.want(201, "POST", of+"/dev/api-keys", `{"name": "ci", "role": "env_maker", "scopes": ["deploy"], "quotas": {"apiRateLimit": 5}, "expiresAt": "2100-01-01T00:00:00Z"}`)
	key := into[adminapi.NewKey](t, r)
	if !strings.HasPrefix(key.Key, "tg_") || !strings.HasSuffix(key.Key, key.Last4) || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("key: %v %+v", r.Header, key)
	}
	r = w.want(201, "POST", of+"/dev/api-keys/"+key.ID.String()+"/rotate", `{"graceSeconds": 60}`)
	rotated := into[adminapi.NewKey](t, r)
	if rotated.Key == key.Key || rotated.Key == "" || rotated.RotatedFrom != key.ID || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("rotated: %+v", rotated)
	}
	w.want(200, "DELETE", of+"/dev/api-keys/"+rotated.ID.String(), "")
	w.refused(409, "state_conflict", "", "POST", of+"/dev/api-keys/"+rotated.ID.String()+"/rotate", "")
	for _, path := range []string{of + "/dev/api-keys", of + "/dev/api-keys/" + key.ID.String(), "/tenants/acme/audit", "/tenants/_audit?environment=" + dev.ID.String()} {
		if text := string(w.want(200, "GET", path, "").text); strings.Contains(text, key.Key) || strings.Contains(text, rotated.Key) || strings.Contains(text, "ash\"") {
			t.Errorf("%s shows a key: %s", path, text)
		}
	}

	w.want(201, "POST", "/tenants/_plans", `{"name": "gold", "quotas": {"apiRateLimit": 600}}`)
	w.want(201, "PUT", "/tenants/_plans/silver", `{"quotas": {"apiRateLimit": 60}}`, "If-None-Match", "*")
	w.refused(412, "version_conflict", "", "PUT", "/tenants/_plans/silver", `{}`, "If-None-Match", "*")
	w.want(200, "PUT", "/tenants/_plans/silver", `{"name": "silver", "upstreams": ["pool:blue"]}`, "If-Match", `"1"`)
	w.refused(412, "version_conflict", "", "PUT", "/tenants/_plans/silver", `{"quotas": {}}`, "If-Match", `"1"`)
	w.refused(404, "not_found", "", "PUT", "/tenants/_plans/bronze", `{}`, "If-Match", "*")
	w.want(200, "PATCH", "/tenants/acme", `{"plan": "gold"}`)
	w.refused(409, "state_conflict", "", "DELETE", "/tenants/_plans/gold", "")
	w.refused(409, "protected", "", "DELETE", "/tenants/_plans/gold?force=silver", "")
	usage := into[adminapi.Usage](t, w.want(200, "GET", "/tenants/acme/usage", ""))
	if !usage.Gateway || len(usage.Limits) != 1 || usage.Limits[0].Limit != 600 || *usage.Limits[0].Remaining != 599 {
		t.Errorf("usage: %+v", usage)
	}
	w.want(204, "DELETE", "/tenants/_plans/gold?force=gold", "")
	if list := into[adminapi.List[registry.Plan]](t, w.want(200, "GET", "/tenants/_plans", "")); len(list.Items) == 0 {
		t.Errorf("plans: %+v", list)
	}
}

// Promise: what was counted is listed by day and by month, in pages, and what applications report is in a tenant's usage.
func TestUsage(t *testing.T) {
	w := newWorld(t)
	acme := into[registry.Tenant](t, w.want(201, "POST", "/tenants", `{"slug": "acme"}`))
	w.want(201, "POST", "/tenants", `{"slug": "globex"}`)
	var records []registry.UsageRecord
	for day := range 5 {
		records = append(records, registry.UsageRecord{
			UsageAccount: registry.UsageAccount{Tenant: acme.ID, Day: time.Date(2026, 1, 29+day, 0, 0, 0, 0, time.UTC)}, Used: int64(day + 1),
		})
	}
	if err := w.store.SaveUsage(t.Context(), "node", records); err != nil {
		t.Fatal(err)
	}
	months := into[adminapi.List[registry.UsageRow]](t, w.want(200, "GET", "/tenants/_usage?tenant=acme", ""))
	if len(months.Items) != 2 || months.Items[0].Used != 6 || months.Items[1].Used != 9 {
		t.Errorf("by month: %+v", months)
	}
	var days []int64
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		page := into[adminapi.List[registry.UsageRow]](t, w.want(200, "GET", "/tenants/_usage?period=day&from=2026-01-30T00:00:00Z&limit=3"+cursor, ""))
		for _, r := range page.Items {
			days = append(days, r.Used)
		}
		if cursor = page.Next; cursor != "" {
			cursor = "&cursor=" + cursor
		}
	}
	if fmt.Sprint(days) != "[2 3 4 5]" {
		t.Errorf("by day: %v", days)
	}
	if _, err := w.store.ReportUsage(t.Context(), registry.ResourceUsage{Tenant: acme.ID, Metric: "maxUsers", Used: 7}); err != nil {
		t.Fatal(err)
	}
	u := into[adminapi.Usage](t, w.want(200, "GET", "/tenants/acme/usage", ""))
	if len(u.Resources) != 1 || u.Resources[0].Used != 7 {
		t.Errorf("reported: %+v", u)
	}
}

// Promise: an application reports what it uses of a quota that it owns, and asks before it uses more; the answer says
// whether the quota holds, and which does not.
func TestApplicationQuotas(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme", "quotas": {"maxUsers": 10}}`)
	w.want(201, "POST", "/tenants/acme/environments", `{"slug": "dev", "quotas": {"maxUsers": 3}}`)
	ask := func(path, body string) registry.QuotaResult {
		t.Helper()
		return into[registry.QuotaResult](t, w.want(200, "POST", "/tenants/acme/usage"+path, body))
	}
	for _, test := range []struct {
		path, body string
		want       registry.QuotaResult
	}{
		{"", `{"metric": "maxUsers", "used": 8, "environment": "production"}`, registry.QuotaResult{Allowed: true, CurrentUsage: 8, Limit: 10}},
		{"/check", `{"metric": "maxUsers", "used": 2, "environment": "production"}`, registry.QuotaResult{Allowed: true, CurrentUsage: 8, Limit: 10}},
		{"/check", `{"metric": "maxUsers", "used": 3, "environment": "production"}`, registry.QuotaResult{ExceededQuota: "maxUsers", CurrentUsage: 8, Limit: 10}},
		{"/check", `{"metric": "maxUsers", "used": 4, "environment": "dev"}`, registry.QuotaResult{ExceededQuota: "maxUsers"}},
		{"", `{"metric": "maxUsers", "used": 11, "environment": "production"}`, registry.QuotaResult{ExceededQuota: "maxUsers", CurrentUsage: 11, Limit: 10}},
		{"/check", `{"metric": "maxObjects", "used": 1000000}`, registry.QuotaResult{Allowed: true}},
	} {
		got := ask(test.path, test.body)
		if got.Allowed != test.want.Allowed || got.ExceededQuota != test.want.ExceededQuota || (got.Message == "") != got.Allowed ||
			test.want.Limit != 0 && (got.CurrentUsage != test.want.CurrentUsage || got.Limit != test.want.Limit) {
			t.Errorf("POST usage%s %s: %+v, want %+v", test.path, test.body, got, test.want)
		}
	}
	u := into[adminapi.Usage](t, w.want(200, "GET", "/tenants/acme/usage", ""))
	if len(u.Resources) != 1 || u.Resources[0].Used != 11 {
		t.Errorf("only what was reported is kept: %+v", u.Resources)
	}
}

// Promise: a host name is claimed, proved or vouched for, moved and removed; a claim says how to prove it.
func TestDomains(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	w.want(201, "POST", "/tenants", `{"slug": "globex"}`)
	w.want(201, "POST", "/tenants/acme/environments", `{"slug": "dev"}`)
	const production, dev = "/tenants/acme/environments/production/domains", "/tenants/acme/environments/dev/domains"
	r := w.want(201, "POST", production, `{"hostname": "App.Acme.test"}`)
	claim := into[adminapi.Domain](t, r)
	if claim.Verified || claim.Proof == nil || claim.Proof.DNSName != "_tenantgate.app.acme.test" || !strings.HasPrefix(claim.Proof.DNSValue, "tenantgate-verification=") ||
		!strings.HasPrefix(claim.Proof.HTTPURL, "http://app.acme.test/.well-known/tenantgate/") || r.Header.Get("Location") != production+"/app.acme.test" {
		t.Errorf("claim: %v %s", r.Header, r.text)
	}
	w.want(200, "GET", production+"/app.acme.test", "")
	w.refused(409, "duplicate", "hostname", "POST", dev, `{"hostname": "app.acme.test"}`)
	w.refused(400, "invalid", "hostname", "POST", dev, `{"hostname": "no host"}`)
	w.refused(400, "invalid", "verified", "POST", dev, `{"hostname": "x.test", "verified": "yes"}`)
	w.refused(400, "invalid", "Idempotency-Key", "POST", dev, `{"hostname": "x.test"}`, "Idempotency-Key", "k")
	if d := into[adminapi.Domain](t, w.want(200, "POST", production+"/app.acme.test/verify", "", "X-Actor", "alice")); !d.Verified || d.Method != "operator" || d.Proof != nil {
		t.Errorf("vouched for: %+v", d)
	}
	w.want(201, "POST", dev, `{"hostname": "dev.acme.test", "verified": true}`)
	if d := into[adminapi.Domain](t, w.want(200, "POST", production+"/app.acme.test/move", `{"environment": "dev"}`)); !d.Verified {
		t.Errorf("moved within the tenant: %+v", d)
	}
	if list := into[adminapi.List[adminapi.Domain]](t, w.want(200, "GET", dev, "")); len(list.Items) != 2 {
		t.Errorf("domains: %+v", list)
	}
	if d := into[adminapi.Domain](t, w.want(200, "POST", dev+"/app.acme.test/move", `{"tenant": "globex", "environment": "production"}`)); d.Verified {
		t.Errorf("another tenant has it without proof: %+v", d)
	}
	w.refused(404, "not_found", "", "GET", dev+"/app.acme.test", "")
	w.refused(404, "not_found", "", "POST", dev+"/app.acme.test/move", `{"environment": "production"}`)
	w.refused(400, "invalid", "environment", "POST", dev+"/dev.acme.test/move", `{}`)
	w.want(204, "DELETE", dev+"/dev.acme.test", "")
	w.refused(404, "not_found", "", "DELETE", dev+"/dev.acme.test", "")
	if list := into[adminapi.List[registry.AuditEntry]](t, w.want(200, "GET", "/tenants/acme/audit?action=domain.&actor=alice", "")); len(list.Items) != 1 {
		t.Errorf("audit: %+v", list)
	}
}

// Promise: the gateway itself hears of every write, and of no reading; a purge names one tenant or all.
func TestGatewayHears(t *testing.T) {
	w := newWorld(t)
	acme := into[registry.Tenant](t, w.want(201, "POST", "/tenants", `{"slug": "acme"}`))
	w.want(200, "GET", "/tenants/acme", "")
	w.want(200, "GET", "/tenants", "")
	w.want(200, "GET", "/tenants/_cache", "")
	w.want(200, "POST", "/tenants/acme/suspend", "")
	if w.live.changes != 2 {
		t.Errorf("told %d times of 2 writes", w.live.changes)
	}
	w.want(204, "POST", "/tenants/_cache/purge", `{"tenant": "acme"}`)
	w.want(204, "POST", "/tenants/_cache/purge", `{"tenant": "`+globexID+`"}`) // of what is gone, by its id
	w.want(204, "POST", "/tenants/_cache/purge", "")
	if w.live.purged != 1 || len(w.live.purges) != 2 || w.live.purges[0] != acme.ID || w.live.purges[1].String() != globexID {
		t.Errorf("purged %d times, and %v", w.live.purged, w.live.purges)
	}
	w.refused(404, "not_found", "", "POST", "/tenants/_cache/purge", `{"tenant": "globex"}`)
}

const globexID = "0190a000-0000-7000-8000-000000000002"

// Promise: without a running gateway the registry's part works, and what only a gateway knows says so.
func TestWithoutGateway(t *testing.T) {
	w := newWorld(t)
	w.api = newAPI(t, adminapi.Options{Backend: adminapi.Fixed(adminapi.Backend{Store: w.store})})
	w.want(201, "POST", "/tenants", `{"slug": "acme", "quotas": {"apiRateLimit": 60, "maxApiCallsPerDay": 1000}}`)
	usage := into[adminapi.Usage](t, w.want(200, "GET", "/tenants/acme/usage", ""))
	if usage.Gateway || len(usage.Limits) != 2 || usage.Limits[0].Burst != 60 || usage.Limits[0].Remaining != nil {
		t.Errorf("usage: %+v", usage)
	}
	w.refused(501, adminapi.CodeNoGateway, "", "GET", "/tenants/_cache", "")
	w.refused(501, adminapi.CodeNoGateway, "", "POST", "/tenants/_cache/purge", "")
	w.refused(501, adminapi.CodeNoGateway, "", "POST", "/tenants/_resolve", `{"url": "http://acme.test/"}`)
}

// Promise: the request that is explained is the one that is described, and credentials are not asked for in a URL.
func TestExplainedRequest(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	w.want(200, "GET", "/tenants/_resolve?url=http%3A%2F%2Facme.test%2Fa%252Fb%3Fq%3D1&header=X-Tenant-ID%3A%20acme&header=X-Two:2&clientIp=10.0.0.1", "")
	w.want(200, "POST", "/tenants/_resolve", `{"url": "https://acme.test:8443/", "method": "PUT", "headers": ["Host: other.test", "Authorization: Bearer x"]}`)
	e := into[adminapi.Explanation](t, w.want(200, "GET", "/tenants/acme/resolve?url=http://acme.test/", ""))
	if e.LeadsHere == nil || *e.LeadsHere {
		t.Errorf("leads to acme: %+v", e)
	}
	get, put := w.live.explained[0], w.live.explained[1]
	if get.Host != "acme.test" || get.RequestURI != "/a%2Fb?q=1" || get.Header.Get("X-Tenant-ID") != "acme" || get.Header.Get("X-Two") != "2" ||
		get.RemoteAddr != "10.0.0.1:0" || get.TLS != nil || get.Header.Get("X-Actor") != "" {
		t.Errorf("GET: %+v", get)
	}
	if put.Method != "PUT" || put.Host != "other.test" || put.Header.Get("Authorization") != "Bearer x" || put.TLS == nil || put.TLS.ServerName != "acme.test" {
		t.Errorf("PUT: %+v", put)
	}
	const path = "/tenants/_resolve"
	for _, header := range []string{"Authorization:x", "cookie:x", "X-Api-Key:x"} {
		w.refused(400, "invalid", "header", "GET", path+"?url=http://acme.test/&header="+header, "")
	}
	w.refused(400, "invalid", "url", "GET", path, "")
	w.refused(400, "invalid", "url", "GET", path+"?url=acme.test", "")
	w.refused(400, "invalid", "url", "GET", path+"?url=http://u:p@acme.test/", "")
	w.refused(400, "invalid", "url", "POST", path, `{"url": "file:///etc/passwd"}`)
	w.refused(400, "invalid", "headers", "POST", path, `{"url": "http://acme.test/", "headers": ["no colon"]}`)
	w.refused(400, "invalid", "headers[0]", "POST", path, `{"url": "http://acme.test/", "headers": [1]}`)
	w.refused(400, "invalid", "clientIp", "POST", path, `{"url": "http://acme.test/", "clientIp": "localhost"}`)
	w.refused(400, "invalid", "method", "POST", path, `{"url": "http://acme.test/", "method": "GE T"}`)
	w.refused(400, "invalid", "handler", "GET", path+"?url=http://acme.test/&handler=-1", "")
	w.refused(409, adminapi.CodeNoHandler, "", "GET", path+"?url=http://acme.test/&handler=7", "")
	w.refused(404, "not_found", "", "GET", "/tenants/nobody/resolve?url=http://acme.test/", "")
}
