package e2e_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: every path and method of the OpenAPI document that the gateway serves does what it says, asked as curl would:
// the test fails if one of them is not asked.
func TestAdminEveryRoute(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	up := harness.StartUpstream(t, "up")
	g := startAdmin(t, b)
	answer := func(method, path, body string) harness.Answer {
		t.Helper()
		a, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{
			Method: method, Path: path, Body: body, Header: map[string]string{"Content-Type": "application/json", "X-Actor": "alice"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(answer("GET", "/tenants/_openapi.json", "").Body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("the document: %v %q", err, doc.OpenAPI)
	}
	asked := map[string]bool{"GET /tenants/_openapi.json": true}
	last := map[string]string{} // what an answer says, by the name of the member
	const (
		tenant      = "/tenants/{tenant}"
		environment = tenant + "/environments/{environment}"
	)
	for _, step := range []struct {
		method, path, query, body string
		status                    int
		shows                     string // what the answer holds
		names                     string // tenant=…,environment=… for the path; defaults: acme, dev
	}{
		{method: "POST", path: "/tenants/_plans", body: `{"name": "gold", "quotas": {"apiRateLimit": 6000}}`, status: 201, shows: `"gold"`},
		{method: "GET", path: "/tenants/_plans", status: 200, shows: `"gold"`},
		{method: "PUT", path: "/tenants/_plans/{plan}", body: `{"quotas": {"apiRateLimit": 7000}}`, status: 200, shows: "7000", names: "plan=gold"},
		{method: "GET", path: "/tenants/_plans/{plan}", status: 200, shows: "7000", names: "plan=gold"},

		{method: "POST", path: "/tenants", body: `{"slug": "acme", "plan": "gold", "status": "provisioning", "upstreams": ["` + up.Address + `"], "quotas": {"maxUsers": 5}}`, status: 201, shows: `"provisioning"`},
		{method: "POST", path: tenant + "/fail", body: `{"reason": "no database"}`, status: 200, shows: `"failed"`},
		{method: "POST", path: tenant + "/provision", status: 200, shows: `"provisioning"`},
		{method: "POST", path: tenant + "/activate", status: 200, shows: `"active"`},
		{method: "GET", path: "/tenants", query: "?plan=gold&prefix=ac&status=active", status: 200, shows: `"acme"`},
		{method: "PATCH", path: tenant, body: `{"slug": "acme-inc", "keepAlias": true}`, status: 200, shows: `"acme-inc"`},
		{method: "GET", path: tenant + "/aliases", status: 200, shows: `"acme"`},
		{method: "DELETE", path: tenant + "/aliases/{alias}", status: 204, names: "tenant=acme-inc,alias=acme"},
		{method: "PATCH", path: tenant, body: `{"slug": "acme"}`, status: 200, shows: `"acme"`, names: "tenant=acme-inc"},
		{method: "GET", path: tenant, status: 200, shows: `"gold"`},
		{method: "POST", path: tenant + "/suspend", body: `{"reason": "unpaid"}`, status: 200, shows: `"unpaid"`},
		{method: "POST", path: tenant + "/restore", status: 200, shows: `"active"`},

		{method: "POST", path: tenant + "/environments", body: `{"slug": "dev", "type": "development", "status": "provisioning"}`, status: 201, shows: `"dev"`},
		{method: "POST", path: environment + "/fail", status: 200, shows: `"failed"`},
		{method: "POST", path: environment + "/provision", status: 200, shows: `"provisioning"`},
		{method: "POST", path: environment + "/activate", status: 200, shows: `"active"`},
		{method: "GET", path: tenant + "/environments", query: "?type=development", status: 200, shows: `"dev"`},
		{method: "PATCH", path: environment, body: `{"slug": "develop", "keepAlias": true, "region": "eu-west-1"}`, status: 200, shows: `"develop"`},
		{method: "GET", path: environment + "/aliases", status: 200, shows: `"dev"`},
		{method: "DELETE", path: environment + "/aliases/{alias}", status: 204, names: "environment=develop,alias=dev"},
		{method: "PATCH", path: environment, body: `{"slug": "dev"}`, status: 200, names: "environment=develop"},
		{method: "GET", path: environment, status: 200, shows: `"eu-west-1"`},
		{method: "POST", path: environment + "/suspend", status: 200, shows: `"suspended"`},
		{method: "POST", path: environment + "/restore", status: 200, shows: `"active"`},
		{method: "POST", path: environment + "/default", status: 200, shows: `"isDefault":true`},

		{method: "POST", path: environment + "/members", body: `{"userId": "u1", "role": "env_user"}`, status: 201, shows: `"u1"`},
		{method: "GET", path: environment + "/members", query: "?role=env_user", status: 200, shows: `"u1"`},
		{method: "PATCH", path: environment + "/members/{user}", body: `{"role": "env_admin"}`, status: 200, shows: `"env_admin"`, names: "user=u1"},
		{method: "GET", path: environment + "/members/{user}", status: 200, shows: `"env_admin"`, names: "user=u1"},
		{method: "DELETE", path: environment + "/members/{user}", status: 204, names: "user=u1"},

		{method: "POST", path: environment + "/domains", body: `{"hostname": "app.acme.test"}`, status: 201, shows: "tenantgate-verification="},
		{method: "GET", path: environment + "/domains", status: 200, shows: `"app.acme.test"`},
		{method: "POST", path: environment + "/domains/{domain}/verify", status: 200, shows: `"verified":true`, names: "domain=app.acme.test"},
		{method: "GET", path: environment + "/domains/{domain}", status: 200, shows: `"verified":true`, names: "domain=app.acme.test"},
		{method: "POST", path: environment + "/domains/{domain}/move", body: `{"environment": "production"}`, status: 200, shows: `"app.acme.test"`, names: "domain=app.acme.test"},
		{method: "DELETE", path: environment + "/domains/{domain}", status: 204, names: "environment=production,domain=app.acme.test"},

		{method: "POST", path: environment + "/api-keys", body: `{"name": "ci", "role": "env_maker"}`, status: 201, shows: `"key":"tg_dev_`},
		{method: "GET", path: environment + "/api-keys", status: 200, shows: `"ci"`},
		{method: "POST", path: environment + "/api-keys/{key}/rotate", body: `{"graceSeconds": 60}`, status: 201, shows: `"key":"tg_dev_`, names: "key=id"},
		{method: "GET", path: environment + "/api-keys/{key}", status: 200, shows: `"ci"`, names: "key=id"},
		{method: "DELETE", path: environment + "/api-keys/{key}", status: 200, shows: `"revokedAt"`, names: "key=id"},

		{method: "POST", path: environment + "/credentials", body: `{"secret": "private", "scope": "readonly"}`, status: 201, shows: `"scope":"readonly"`},
		{method: "GET", path: environment + "/credentials", status: 200, shows: `"readonly"`},
		{method: "POST", path: environment + "/credentials/{credential}/reveal", status: 200, shows: `"secret":"private"`, names: "credential=id"},
		{method: "GET", path: environment + "/credentials/{credential}", status: 200, shows: `"keyId":"k1"`, names: "credential=id"},
		{method: "POST", path: environment + "/credentials/{credential}/rotate", body: `{"secret": "private-2"}`, status: 201, shows: `"rotatedFrom"`, names: "credential=id"},
		{method: "DELETE", path: environment + "/credentials/{credential}", status: 200, shows: `"revoked"`, names: "credential=id"},
		{method: "POST", path: "/tenants/_credentials/reseal", body: `{"limit": 10}`, status: 200, shows: `"resealed":0`},

		{method: "POST", path: tenant + "/usage", body: `{"metric": "maxUsers", "used": 4}`, status: 200, shows: `"allowed":true`},
		{method: "POST", path: tenant + "/usage/check", body: `{"metric": "maxUsers", "used": 2}`, status: 200, shows: `"exceededQuota":"maxUsers"`},
		{method: "GET", path: tenant + "/usage", status: 200, shows: `"maxUsers"`},
		{method: "GET", path: "/tenants/_usage", query: "?period=day&tenant=acme", status: 200, shows: `"items"`},
		{method: "GET", path: tenant + "/audit", query: "?action=organization.suspend", status: 200, shows: `"unpaid"`},
		{method: "GET", path: "/tenants/_audit", query: "?actor=alice", status: 200, shows: `"alice"`},
		{method: "GET", path: "/tenants/_cache", status: 200, shows: `"entries"`},
		{method: "POST", path: "/tenants/_cache/purge", body: `{"tenant": "acme"}`, status: 204},
		{method: "GET", path: "/tenants/_resolve", query: "?url=" + url.QueryEscape("http://acme.app.test/"), status: 200, shows: `"subdomain"`},
		{method: "POST", path: "/tenants/_resolve", body: `{"url": "http://acme.app.test/"}`, status: 200, shows: `"subdomain"`},
		{method: "GET", path: tenant + "/resolve", query: "?url=" + url.QueryEscape("http://acme.app.test/"), status: 200, shows: `"leadsHere":true`},
		{method: "POST", path: tenant + "/resolve", body: `{"url": "http://acme.app.test/"}`, status: 200, shows: `"leadsHere":true`},

		{method: "POST", path: environment + "/archive", body: `{"force": "production"}`, status: 200, shows: `"archived"`, names: "environment=production"},
		{method: "DELETE", path: environment, query: "?force=production", status: 204, names: "environment=production"},
		{method: "POST", path: tenant + "/archive", status: 200, shows: `"archived"`},
		{method: "POST", path: tenant + "/destroy", body: `{"force": "acme"}`, status: 200, shows: `"destroying"`},
		{method: "DELETE", path: tenant, query: "?force=acme", status: 204},
		{method: "DELETE", path: "/tenants/_plans/{plan}", status: 204, names: "plan=gold"},
	} {
		route := step.method + " " + step.path
		if _, ok := doc.Paths[step.path][strings.ToLower(step.method)]; !ok {
			t.Errorf("%s is not in the document", route)
		}
		asked[route] = true
		names := map[string]string{"tenant": "acme", "environment": "dev"}
		for pair := range strings.SplitSeq(step.names, ",") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				if name == "key" || name == "credential" {
					value = last[value]
				}
				names[name] = value
			}
		}
		path := step.path
		for name, value := range names {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
		a := answer(step.method, path+step.query, step.body)
		if a.Status != step.status || !strings.Contains(a.Body, step.shows) {
			t.Errorf("%s: %d %s, want %d with %s", route, a.Status, a.Body, step.status, step.shows)
		}
		var members map[string]any
		if json.Unmarshal([]byte(a.Body), &members) == nil {
			if id, ok := members["id"].(string); ok {
				last["id"] = id
			}
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if route := strings.ToUpper(method) + " " + path; method != "parameters" && !asked[route] {
				t.Errorf("%s is in the document and was not asked", route)
			}
		}
	}
}
