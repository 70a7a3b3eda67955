package adminapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/sqld"
)

// Promise: whatever is wrong with a request, there is one clear answer with a stable code and the place of the mistake,
// and nothing is written.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/tenants", `{"slug": "acme", "environments": [{"slug": "production", "isDefault": true, "domains": ["acme.test"]}]}`)
	w.want(201, "POST", "/tenants", `{"slug": "globex"}`)
	w.want(201, "POST", "/tenants/acme/environments", `{"slug": "dev", "members": [{"userId": "u1", "role": "env_user"}]}`)
	id := into[registry.Tenant](t, w.want(200, "GET", "/tenants/acme", "")).ID.String()
	const dev, keys = "/tenants/acme/environments/dev", "/tenants/acme/environments/dev/api-keys"
	key := into[adminapi.NewKey](t, w.want(201, "POST", keys, `{"name": "k"}`)).ID.String()
	before := string(w.want(200, "GET", "/tenants/_audit?limit=500", "").text)
	changes := w.live.changes
	long := strings.Repeat("x", 300)

	for _, tt := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		// Bodies that are no JSON object, or not only one.
		{"POST", "/tenants", ``, 400, "invalid", ""},
		{"POST", "/tenants", `[]`, 400, "invalid", ""},
		{"POST", "/tenants", `null`, 400, "invalid", ""},
		{"POST", "/tenants", `{"slug": "x"} {}`, 400, "invalid", ""},
		{"POST", "/tenants", `{"slug": "x"`, 400, "invalid", ""},
		{"POST", "/tenants", "{\"slug\": \"\xff\"}", 400, "invalid", "slug"},
		{"POST", dev + "/members", ``, 400, "invalid", ""},
		{"POST", dev + "/members", `[]`, 400, "invalid", ""},
		{"POST", dev + "/members", `{"userId": "x", "role": "env_user"} 1`, 400, "invalid", ""},
		{"POST", dev + "/members", `{"userId": "x"`, 400, "invalid", ""},
		{"POST", dev + "/members", "{\"userId\": \"\xff\", \"role\": \"env_user\"}", 400, "invalid", ""},
		// Tenants.
		{"POST", "/tenants", `{"slug": "Acme"}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "a.b"}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "bücher"}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "_plans"}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "` + long + `"}`, 400, "too_long", "slug"},
		{"POST", "/tenants", `{"slug": 5}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "x", "slug": "y"}`, 400, "duplicate", "slug"},
		{"POST", "/tenants", `{"slug": "acme"}`, 409, "duplicate", "slug"},
		{"POST", "/tenants", `{"id": "` + id + `", "slug": "x"}`, 409, "duplicate", "id"},
		{"POST", "/tenants", `{"id": "not-an-id", "slug": "x"}`, 400, "invalid", "id"},
		{"POST", "/tenants", `{"name": "no slug"}`, 400, "invalid", "slug"},
		{"POST", "/tenants", `{"slug": "x", "colour": "x"}`, 400, "unknown_field", "colour"},
		{"POST", "/tenants", `{"slug": "x", "name": "` + long + `"}`, 400, "too_long", "name"},
		{"POST", "/tenants", `{"slug": "x", "plan": "nosuch"}`, 400, "unknown_plan", "plan"},
		{"POST", "/tenants", `{"slug": "x", "status": "suspended"}`, 400, "invalid", "status"},
		{"POST", "/tenants", `{"slug": "x", "quotas": {"apiRateLimit": 0}}`, 400, "invalid", "quotas.apiRateLimit"},
		{"POST", "/tenants", `{"slug": "x", "quotas": {"apiRateLimit": "many"}}`, 400, "invalid", "quotas.apiRateLimit"},
		{"POST", "/tenants", `{"slug": "x", "environments": [{"slug": "a", "isDefault": true, "domains": ["acme.test"]}]}`, 409, "duplicate", "environments[0].domains[0]"},
		{"POST", "/tenants", `{"slug": "x", "environments": [{"slug": "A B"}]}`, 400, "invalid", "environments[0].slug"},
		{"PATCH", "/tenants/acme", `{"slug": "globex"}`, 409, "duplicate", "slug"},
		{"PATCH", "/tenants/acme", `{"status": "suspended"}`, 400, "unknown_field", "status"},
		{"PATCH", "/tenants/acme", `{"id": "` + id + `"}`, 400, "unknown_field", "id"},
		{"PATCH", "/tenants/acme", `{"plan": "nosuch"}`, 400, "unknown_plan", "plan"},
		{"PATCH", "/tenants/acme", `{"subscriptionExpiresAt": "tomorrow"}`, 400, "invalid", "subscriptionExpiresAt"},
		{"PATCH", "/tenants/acme", `{"upstreams": ["ftp://x"]}`, 400, "invalid", "upstreams[0]"},
		{"PATCH", "/tenants/nobody", `{"name": "x"}`, 404, "not_found", ""},
		{"POST", "/tenants/acme/suspend", `{"reson": "x"}`, 400, "unknown_field", "reson"},
		{"POST", "/tenants/acme/suspend", `{"reason": "` + strings.Repeat(long, 4) + `"}`, 400, "too_long", "reason"},
		{"POST", "/tenants/acme/suspend", `{"reason": null}`, 400, "invalid", "reason"},
		{"POST", "/tenants/acme/activate", ``, 409, "state_conflict", ""},
		{"POST", "/tenants/nobody/suspend", ``, 404, "not_found", ""},
		{"POST", "/tenants/acme/explode", ``, 404, adminapi.CodeNoRoute, ""},
		{"DELETE", "/tenants/acme?force=acme", ``, 409, "state_conflict", ""},
		{"DELETE", "/tenants/acme?froce=acme", ``, 400, "unknown_field", "froce"},
		{"DELETE", "/tenants/acme", `{}`, 400, "invalid", ""},
		{"DELETE", "/tenants/nobody?force=nobody", ``, 404, "not_found", ""},
		{"DELETE", "/tenants/acme/aliases/none", ``, 404, "not_found", ""},
		// Names in the path that are none.
		{"GET", "/tenants/ACME", ``, 404, "not_found", ""},
		{"GET", "/tenants/a.b", ``, 404, "not_found", ""},
		{"GET", "/tenants/b%C3%BCcher", ``, 404, "not_found", ""},
		{"GET", "/tenants/acme%00", ``, 404, "not_found", ""},
		{"GET", "/tenants/" + long, ``, 404, "not_found", ""},
		{"GET", "/tenants/0190a000-0000-7000-8000-00000000000g", ``, 404, "not_found", ""},
		{"GET", "/tenants/acme/environments/" + id, ``, 404, "not_found", ""},
		// Filters and pages.
		{"GET", "/tenants?limit=0", ``, 400, "invalid", "limit"},
		{"GET", "/tenants?limit=501", ``, 400, "invalid", "limit"},
		{"GET", "/tenants?limit=ten", ``, 400, "invalid", "limit"},
		{"GET", "/tenants?limit=1&limit=2", ``, 400, "invalid", "limit"},
		{"GET", "/tenants?cursor=x", ``, 400, "invalid", "cursor"},
		{"GET", "/tenants?cursor=" + strings.Repeat("A", 4097), ``, 400, "invalid", "cursor"},
		{"GET", "/tenants?status=asleep", ``, 400, "invalid", "status"},
		{"GET", "/tenants?plan=A+B", ``, 400, "invalid", "plan"},
		{"GET", "/tenants?prefix=A", ``, 400, "invalid", "prefix"},
		{"GET", "/tenants?region=a%2Fb", ``, 400, "invalid", "region"},
		{"GET", "/tenants?name=acme", ``, 400, "unknown_field", "name"},
		{"GET", "/tenants?status=", ``, 400, "invalid", "status"},
		{"GET", "/tenants?status=%zz", ``, 400, "invalid", "query"},
		{"GET", "/tenants/_audit?since=yesterday", ``, 400, "invalid", "since"},
		{"GET", "/tenants/_audit?environment=dev", ``, 400, "invalid", "environment"},
		{"GET", "/tenants/_audit?tenant=nobody", ``, 404, "not_found", ""},
		{"GET", "/tenants/acme/audit?environment=nope", ``, 404, "not_found", ""},
		// Environments.
		{"POST", "/tenants/acme/environments", `{"slug": "dev"}`, 409, "duplicate", "slug"},
		{"POST", "/tenants/acme/environments", `{"slug": "De.v"}`, 400, "invalid", "slug"},
		{"POST", "/tenants/acme/environments", `{"slug": "x", "type": "prod"}`, 400, "invalid", "type"},
		{"POST", "/tenants/acme/environments", `{"slug": "x", "domains": ["acme.test", "bad host"]}`, 400, "invalid", "domains[1]"},
		{"POST", "/tenants/acme/environments", `{"slug": "x", "members": [{"userId": "u", "role": "boss"}]}`, 400, "invalid", "members[0].role"},
		{"POST", "/tenants/nobody/environments", `{"slug": "x"}`, 404, "not_found", ""},
		{"PATCH", dev, `{"slug": "production"}`, 409, "duplicate", "slug"},
		{"PATCH", dev, `{"isDefault": true}`, 400, "unknown_field", "isDefault"},
		{"PATCH", dev, `{"database": {"driver": "oracle"}}`, 400, "invalid", "database.driver"},
		{"POST", dev + "/destroy", ``, 404, adminapi.CodeNoRoute, ""},
		{"POST", dev + "/default", `{}`, 400, "invalid", ""},
		{"POST", "/tenants/acme/environments/nope/suspend", ``, 404, "not_found", ""},
		{"DELETE", dev, ``, 409, "state_conflict", ""},
		{"DELETE", "/tenants/acme/environments/production?force=production", ``, 409, "protected", ""},
		// Members.
		{"POST", dev + "/members", `{"userId": "u1", "role": "env_user"}`, 409, "duplicate", "userId"},
		{"POST", dev + "/members", `{"userId": "u2", "role": "boss"}`, 400, "invalid", "role"},
		{"POST", dev + "/members", `{"userId": "` + long + `", "role": "env_user"}`, 400, "too_long", "userId"},
		{"POST", dev + "/members", `{"userId": 7, "role": "env_user"}`, 400, "invalid", "userId"},
		{"POST", dev + "/members", `{"userId": "u", "userId": "v", "role": "env_user"}`, 400, "duplicate", "userId"},
		{"POST", dev + "/members", `{"UserID": "u", "role": "env_user"}`, 400, "unknown_field", "UserID"},
		{"PATCH", dev + "/members/u1", `{}`, 400, "invalid", "role"},
		{"PATCH", dev + "/members/nobody", `{"role": "env_user"}`, 404, "not_found", ""},
		{"DELETE", dev + "/members/nobody", ``, 404, "not_found", ""},
		{"GET", dev + "/members?role=boss", ``, 400, "invalid", "role"},
		// Keys.
		{"POST", keys, `{"name": ""}`, 400, "invalid", "name"},
		{"POST", keys, `{"name": "k", "hash": "00"}`, 400, "unknown_field", "hash"},
		{"POST", keys, `{"name": "k", "scopes": "all"}`, 400, "invalid", "scopes"},
		{"POST", keys, `{"name": "k", "scopes": ["a", 1]}`, 400, "invalid", "scopes[1]"},
		{"POST", keys, `{"name": "k", "quotas": {"maxUsers": 1}}`, 400, "unknown_field", "quotas.maxUsers"},
		{"POST", keys, `{"name": "k", "quotas": {"burst": 1.5}}`, 400, "invalid", "quotas.burst"},
		{"POST", keys, `{"name": "k", "quotas": {"burst": 1, "burst": 2}}`, 400, "duplicate", "quotas.burst"},
		{"POST", keys, `{"name": "k", "expiresAt": "2001-01-01T00:00:00Z"}`, 400, "invalid", "expiresAt"},
		{"POST", keys, `{"name": "k", "role": "boss"}`, 400, "invalid", "role"},
		{"POST", "/tenants/acme/environments/nope/api-keys", `{"name": "k"}`, 404, "not_found", ""},
		{"POST", keys + "/" + key + "/rotate", `{"graceSeconds": -1}`, 400, "invalid", "graceSeconds"},
		{"POST", keys + "/" + id + "/rotate", ``, 404, "not_found", ""},
		{"GET", keys + "/k1", ``, 404, "not_found", ""},
		{"DELETE", keys + "/" + id, ``, 404, "not_found", ""},
		{"DELETE", "/tenants/globex/environments/production/api-keys/" + key, ``, 404, "not_found", ""},
		// Plans.
		{"POST", "/tenants/_plans", `{"name": "Gold"}`, 400, "invalid", "name"},
		{"POST", "/tenants/_plans", `{}`, 400, "invalid", "name"},
		{"PUT", "/tenants/_plans/gold", `{"name": "silver"}`, 400, "invalid", "name"},
		{"PUT", "/tenants/_plans/gold", `{"quotas": {"burst": -1}}`, 400, "invalid", "quotas.burst"},
		{"PUT", "/tenants/_plans/gold", `[]`, 400, "invalid", ""},
		{"PUT", "/tenants/_plans/G%20old", `{}`, 400, "invalid", "name"},
		{"GET", "/tenants/_plans/nosuch", ``, 404, "not_found", ""},
		{"DELETE", "/tenants/_plans/nosuch", ``, 404, "not_found", ""},
		{"POST", "/tenants/_cache/purge", `{"tenant": ""}`, 400, "invalid", "tenant"},
		{"POST", "/tenants/acme/usage", `{"metric": "requests", "used": 1}`, 400, "invalid", "metric"},
		{"POST", "/tenants/acme/usage", `{"metric": "maxUsers"}`, 400, "invalid", "used"},
		{"POST", "/tenants/acme/usage", `{"metric": "maxUsers", "used": -1}`, 400, "invalid", "used"},
		{"POST", "/tenants/acme/usage", `{"metric": "maxUsers", "used": 9007199254740993}`, 400, "invalid", "used"},
		{"POST", "/tenants/acme/usage", `{"metric": "maxUsers", "used": "1"}`, 400, "invalid", "used"},
		{"POST", "/tenants/acme/usage", `{"metric": "maxUsers", "used": 1, "users": 1}`, 400, "unknown_field", "users"},
		{"POST", "/tenants/acme/usage/check", `{"metric": "maxUsers", "used": 1, "environment": "nowhere"}`, 404, "not_found", ""},
		{"POST", "/tenants/nobody/usage/check", `{"metric": "maxUsers", "used": 1}`, 404, "not_found", ""},
		{"GET", "/tenants/_usage?period=year", ``, 400, "invalid", "period"},
		{"GET", "/tenants/_usage?from=now", ``, 400, "invalid", "from"},
		{"GET", "/tenants/_usage?tenant=nobody", ``, 404, "not_found", ""},
		{"GET", "/tenants/_usage?cursor=%20", ``, 400, "invalid", "cursor"},
		{"POST", "/tenants/_cache/purge", `{"all": true}`, 400, "unknown_field", "all"},
	} {
		p := w.refused(tt.status, tt.code, tt.field, tt.method, tt.path, tt.body)
		if p.Detail == "" || p.Title == "" || p.Instance == "" || len(p.Detail) > 2000 {
			t.Errorf("%s %s: %+v", tt.method, tt.path, p)
		}
	}
	// Several mistakes at once are all told.
	p := w.refused(400, "invalid", "slug", "POST", "/tenants", `{"slug": "A", "colour": "x", "plan": 1}`)
	if len(p.Errors) != 3 || p.Errors[1].Code != "unknown_field" || p.Errors[1].Field != "colour" {
		t.Errorf("all mistakes: %+v", p.Errors)
	}
	// Headers.
	w.refused(400, "invalid", "If-Match", "PATCH", "/tenants/acme", `{}`, "If-Match", `"1", "2"`)
	w.refused(412, "version_conflict", "", "PATCH", "/tenants/acme", `{"name": "x"}`, "If-Match", `W/"1"`)
	w.refused(412, "version_conflict", "", "PATCH", "/tenants/acme", `{"name": "x"}`, "If-Match", `"abc"`)
	w.refused(412, "version_conflict", "", "PATCH", "/tenants/acme", `{"name": "x"}`, "If-Match", `"7"`)
	w.refused(400, "too_long", "X-Actor", "PATCH", "/tenants/acme", `{"name": "x"}`, "X-Actor", long)
	w.refused(400, "invalid", "X-Actor", "PATCH", "/tenants/acme", `{"name": "x"}`, "X-Actor", "a\x00b")
	w.refused(400, "too_long", "Idempotency-Key", "POST", "/tenants", `{"slug": "x"}`, "Idempotency-Key", long)
	w.refused(400, "invalid", "Idempotency-Key", "POST", "/tenants/_plans", `{"name": "x"}`, "Idempotency-Key", "k")
	w.refused(415, adminapi.CodeMediaType, "", "POST", "/tenants", `{"slug": "x"}`, "Content-Type", "application/x-www-form-urlencoded")
	w.refused(413, "too_long", "", "POST", "/tenants", `{"slug": "`+strings.Repeat("x", adminapi.MaxBody)+`"}`)

	if after := string(w.want(200, "GET", "/tenants/_audit?limit=500", "").text); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}
	if w.live.changes == changes {
		t.Error("the gateway does not look after a write that failed, which the registry may have done")
	}
}

// Promise: while the registry cannot be asked, hangs or is gone in the middle of a request, the answer is 503 with
// Retry-After and says nothing of addresses; afterwards everything works again.
func TestRegistryDown(t *testing.T) {
	server := sqld.Start(t, sqld.Options{})
	proxy := harness.StartProxy(t, server.Addr())
	w := worldOn(t, registry.Options{URL: "http://" + proxy.Address, AuthToken: server.Token(nil)})
	w.want(201, "POST", "/tenants", `{"slug": "acme"}`)
	proxy.Down()
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/tenants", ""},
		{"GET", "/tenants/acme", ""},
		{"POST", "/tenants", `{"slug": "globex"}`},
		{"PATCH", "/tenants/acme", `{"name": "x"}`},
		{"POST", "/tenants/acme/suspend", ""},
		{"GET", "/tenants/acme/usage", ""},
		{"PUT", "/tenants/_plans/gold", `{}`},
		{"POST", "/tenants/acme/environments/production/api-keys", `{"name": "k"}`},
	} {
		r := w.ask(tt.method, tt.path, tt.body)
		if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || into[adminapi.Problem](t, r).Code != "registry_unavailable" ||
			strings.Contains(string(r.text), proxy.Address) {
			t.Errorf("%s %s: %d %v %s", tt.method, tt.path, r.StatusCode, r.Header, r.text)
		}
	}
	w.want(204, "POST", "/tenants/_cache/purge", "") // asks no registry
	proxy.Up(t)
	harness.Eventually(t, harnessPatience, func() error {
		if r := w.ask("GET", "/tenants/acme", ""); r.StatusCode != 200 {
			return errors.New(string(r.text))
		}
		return nil
	})
	if got := into[registry.Tenant](t, w.want(200, "GET", "/tenants/acme", "")); got.Version != 1 || got.Status != "active" {
		t.Errorf("half written: %+v", got)
	}
	w.want(404, "GET", "/tenants/globex", "")
	w.want(201, "POST", "/tenants", `{"slug": "globex"}`)
}

// Promise: where the configuration has no registry, the answer is 503.
func TestNoBackend(t *testing.T) {
	w := newWorld(t)
	w.api = newAPI(t, adminapi.Options{Backend: func(*http.Request) (adminapi.Backend, func(), error) {
		return adminapi.Backend{}, nil, errors.New("secret inside")
	}})
	if p := w.refused(503, "registry_unavailable", "", "GET", "/tenants", ""); strings.Contains(p.Detail, "secret") {
		t.Errorf("%+v", p)
	}
	if _, err := adminapi.New(adminapi.Options{}); err == nil {
		t.Error("an API without a backend")
	}
}
