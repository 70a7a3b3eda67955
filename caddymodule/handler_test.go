package caddymodule

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/tenantgate/tenantgate/registry"
)

// subdomains is the source of most tests.
func subdomains() *Subdomain { return &Subdomain{Patterns: []string{"{tenant}.app.test"}} }

// TestInject keeps the promise of which headers go upstream with which values.
func TestInject(t *testing.T) {
	strange := acme()
	strange.Tenant.Slug, strange.Tenant.Name = "strange", " Åcme\r\nX-Evil: 1 100% "
	strange.Environment.Region, strange.Tenant.Isolation = "", ""
	for _, tt := range []struct {
		name   string
		host   string
		inject *Inject
		want   map[string]string // of the headers that the gateway owns, those that are there
	}{
		{
			"default", "acme.app.test", nil, map[string]string{
				"X-Tenant-Id": acmeID.String(), "X-Tenant-Slug": "acme", "X-Tenant-Name": "Acme Corp", "X-Tenant-Plan": "pro",
				"X-Tenant-Isolation": "isolated_db", "X-Environment-Id": acmeProd.String(), "X-Environment-Slug": "production",
				"X-Environment-Type": "production", "X-Environment-Region": "eu-west-1",
			},
		},
		{
			"database", "acme.app.test", &Inject{Database: true, Headers: map[string]string{
				"x-tenant-id": "X-Org-ID", "X-Tenant-Name": "", "X-Tenant-Plan": "", "X-Tenant-Isolation": "",
				"X-Environment-ID": "", "X-Environment-Type": "", "X-Environment-Region": "", "X-Tenant-Schema": "x_schema",
			}}, map[string]string{
				"X-Org-Id": acmeID.String(), "X-Tenant-Slug": "acme", "X-Environment-Slug": "production",
				"X-Tenant-Database": "acme-db", "X_schema": "acme_schema",
			},
		},
		{
			"strange", "strange.app.test", nil, map[string]string{
				"X-Tenant-Id": acmeID.String(), "X-Tenant-Slug": "strange", "X-Tenant-Plan": "pro",
				"X-Tenant-Name": "%20%C3%85cme%0D%0AX-Evil: 1 100%25%20", "X-Environment-Id": acmeProd.String(),
				"X-Environment-Slug": "production", "X-Environment-Type": "production",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHandler(t, testApp(t, acme(), strange), &Handler{Inject: tt.inject}, subdomains())
			_, r := serve(t, h, http.MethodGet, "http://"+tt.host+"/", nil)
			got := map[string]string{}
			for name, values := range r.Header {
				if h.owned.contains(name) {
					got[name] = strings.Join(values, "|")
				}
			}
			if !equalMaps(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func equalMaps(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// TestUser keeps the promise that an authenticated source's user and roles go upstream, and that a guest can be one.
func TestUser(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{RequireAuthenticated: true}, &cookieSource{Cookie: "org", Trusted: true})
	_, r := serve(t, h, http.MethodGet, "http://any.test/", http.Header{"Cookie": {"org=acme"}, "X-User-Id": {"root"}})
	if id, role := r.Header.Get("X-User-ID"), r.Header.Get("X-User-Role"); id != "user-of-acme" || role != "env_user,env_admin" {
		t.Errorf("user %q, role %q", id, role)
	}
	res, _ := serve(t, h, http.MethodGet, "http://any.test/", nil)
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without the cookie: %d, WWW-Authenticate %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
}

// TestNoSharedValues keeps the promise that no two requests share the memory of a header value: Caddy's replace
// operations write into it.
func TestNoSharedValues(t *testing.T) {
	h := testHandler(t, testApp(t, acme(), globex()), &Handler{}, subdomains())
	for _, host := range []string{"acme.app.test", "globex.app.test"} {
		first, a := serve(t, h, http.MethodGet, "http://"+host+"/", nil)
		second, b := serve(t, h, http.MethodGet, "http://"+host+"/", nil)
		for _, pair := range [][2]http.Header{{a.Header, b.Header}, {first.Header, second.Header}} {
			for name, values := range pair[0] {
				before := slices.Clone(pair[1][name])
				for i := range values {
					values[i] = "changed"
				}
				_ = append(values, "more")
				if !slices.Equal(pair[1][name], before) {
					t.Errorf("%s: %s is shared between requests", host, name)
				}
			}
			for name, values := range pair[0] {
				for _, v := range values {
					if v != "changed" {
						t.Errorf("%s: appending to a neighbour changed %s to %q", host, name, v)
					}
				}
			}
		}
	}
}

// TestExempt keeps the promise that exempt requests pass without a tenant, and that placeholders are empty there.
func TestExempt(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{Exempt: []string{"/healthz", "/auth/*"}}, subdomains())
	h.exemptSets = caddyhttp.MatcherSets{{&caddyhttp.MatchMethod{http.MethodOptions}}}
	for _, tt := range []struct {
		method, target string
		passes         bool
	}{
		{http.MethodGet, "http://unknown.app.test/healthz", true},
		{http.MethodGet, "http://unknown.app.test/auth/login", true},
		{http.MethodOptions, "http://unknown.app.test/api", true},
		{http.MethodGet, "http://unknown.app.test/api", false},
		{http.MethodGet, "http://unknown.app.test/auth/%2e%2e/api", false},
	} {
		_, r := serve(t, h, tt.method, tt.target, nil)
		if (r != nil) != tt.passes {
			t.Errorf("%s %s: passed is %v", tt.method, tt.target, r != nil)
		}
		if r == nil {
			continue
		}
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if got := repl.ReplaceKnown("[{tenant.slug}{tenant.id}{tenant.error.code}]", ""); got != "[]" {
			t.Errorf("%s: placeholders give %s", tt.target, got)
		}
		if match, err := new(MatchTenant).MatchWithError(r); match || err != nil {
			t.Errorf("%s: the matcher says %v, %v", tt.target, match, err)
		}
	}
}

// TestRefusal keeps the promise of what a refused client gets.
func TestRefusal(t *testing.T) {
	suspended := globex()
	suspended.Tenant.Slug, suspended.Tenant.Status = "initech", registry.StatusSuspended
	h := testHandler(t, testApp(t, acme(), suspended), &Handler{}, subdomains())
	for _, tt := range []struct {
		name, method, target, accept string
		status                       int
		code, contentType            string
	}{
		{"unknown", "GET", "http://nobody.app.test/a?token=secret", "", 404, "tenant_not_found", "application/problem+json"},
		{"suspended", "GET", "http://initech.app.test/", "*/*", 403, "tenant_suspended", "application/problem+json"},
		{"required", "GET", "http://other.test/", "application/json", 400, "tenant_required", "application/problem+json"},
		{"page", "GET", "http://initech.app.test/", "text/html,*/*;q=0.8", 403, "tenant_suspended", "text/html; charset=utf-8"},
		{"head", "HEAD", "http://initech.app.test/", "", 403, "", "application/problem+json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, behind := serve(t, h, tt.method, tt.target, http.Header{"Accept": {tt.accept}})
			body := res.Body
			if behind != nil || res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("passed %v, status %d, content type %q", behind != nil, res.StatusCode, res.Header.Get("Content-Type"))
			}
			if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Vary") != "Accept" {
				t.Errorf("headers: %v", res.Header)
			}
			switch {
			case tt.method == "HEAD":
				if len(body) != 0 || res.Header.Get("Content-Length") == "" || res.Header.Get("Content-Length") == "0" {
					t.Errorf("HEAD: body %q, Content-Length %s", body, res.Header.Get("Content-Length"))
				}
			case tt.contentType == "application/problem+json":
				var problem struct {
					Type, Title, Detail, Instance, Code string
					Status                              int
				}
				if err := json.Unmarshal([]byte(body), &problem); err != nil {
					t.Fatal(err)
				}
				if problem.Code != tt.code || problem.Status != tt.status || problem.Type == "" || problem.Title == "" || problem.Detail == "" {
					t.Errorf("problem: %s", body)
				}
				if strings.Contains(body, "secret") || strings.Contains(body, "nobody") {
					t.Errorf("the problem repeats the request: %s", body)
				}
			default:
				if !strings.Contains(body, tt.code) || !strings.Contains(body, "<html") {
					t.Errorf("page: %s", body)
				}
			}
		})
	}
}

// TestErrorsPass keeps the promise that handle_errors gets the status, the headers and the placeholders.
func TestErrorsPass(t *testing.T) {
	h := testHandler(t, testApp(t, globex()), &Handler{Errors: errorsPass}, subdomains())
	run := func(target string) (http.Header, *http.Request, error) {
		w, r := testRequest(http.MethodGet, target, nil)
		err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
		return w.Header(), r, err
	}
	_, r, err := run("http://nobody.app.test/")
	var handlerErr caddyhttp.HandlerError
	if !errors.As(err, &handlerErr) || handlerErr.StatusCode != 404 {
		t.Fatalf("error: %v", err)
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	got := repl.ReplaceAll("{tenant.error.status} {tenant.error.code}: {tenant.error.title}: {tenant.error.detail}{tenant.slug}", "")
	if got != "404 tenant_not_found: Tenant not found: There is no such tenant." {
		t.Errorf("placeholders: %s", got)
	}
	for range 2 {
		if _, _, err := run("http://globex.app.test/"); err != nil {
			t.Fatal(err)
		}
	}
	header, _, err := run("http://globex.app.test/")
	if !errors.As(err, &handlerErr) || handlerErr.StatusCode != 429 || header.Get("Retry-After") == "" || header.Get("RateLimit") == "" {
		t.Errorf("error %v, headers %v", err, header)
	}
}

// TestPlaceholders keeps the promise of what each placeholder says.
func TestPlaceholders(t *testing.T) {
	app := testApp(t, acme())
	h := testHandler(t, app, &Handler{}, &cookieSource{Cookie: "org", Trusted: true})
	_, r := serve(t, h, http.MethodGet, "http://any.test/", http.Header{"Cookie": {"org=acme"}})
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	for name, want := range map[string]string{
		"id": acmeID.String(), "slug": "acme", "name": "Acme Corp", "plan": "pro", "status": "active", "isolation": "isolated_db",
		"source": "cookie", "upstream": "127.0.0.1:9001", "upstream.address": "127.0.0.1:9001", "upstream.scheme": "http",
		"database": "acme-db", "schema": "acme_schema", "metadata.canary": "true", "metadata.missing": "", "user.id": "user-of-acme",
		"environment.id": acmeProd.String(), "environment.slug": "production", "environment.name": "Production",
		"environment.type": "production", "environment.region": "eu-west-1", "environment.status": "active",
		"environment.metadata.tier": "gold", "environment.missing": "", "missing": "", "error.code": "", "error.missing": "",
	} {
		got, known := repl.GetString("tenant." + name)
		if !known || got != want {
			t.Errorf("{tenant.%s} is %q, known %v", name, got, known)
		}
	}
	if _, known := repl.Get("tenants.slug"); known {
		t.Error("{tenants.slug} is known")
	}
}

// TestPlaceholderUpstream keeps the promise of {tenant.upstream} for pools, https and defaults.
func TestPlaceholderUpstream(t *testing.T) {
	app := testApp(t)
	app.pools = map[string]*pool{"big": {scheme: "http", addresses: []string{"10.0.0.1:80", "10.0.0.2:80"}}}
	for _, tt := range []struct {
		name     string
		ups      []registry.Upstream
		fallback *pool
		want     string
	}{
		{"none", nil, nil, ""},
		{"default", nil, &pool{scheme: "http", addresses: []string{"d:80"}}, "d:80"},
		{"https", []registry.Upstream{{Scheme: "https", Address: "s:443"}}, nil, "https://s:443"},
		{"pool", []registry.Upstream{{Pool: "big"}}, nil, "10.0.0.1:80"},
		{"unknown pool", []registry.Upstream{{Pool: "none"}}, nil, ""},
	} {
		app.fallback = tt.fallback
		if got := app.firstUpstream(&registry.Resolved{Upstreams: tt.ups}); got != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, got, tt.want)
		}
	}
	// A static reverse_proxy must fail rather than speak plain HTTP to an https upstream.
	if addr, err := caddy.ParseNetworkAddress("https://127.0.0.1:443"); err == nil {
		if _, err := (&net.Dialer{}).DialContext(t.Context(), addr.Network, addr.JoinHostPort(0)); !errors.As(err, new(net.UnknownNetworkError)) {
			t.Errorf("Caddy dials %v: %v", addr, err)
		}
	}
}

// TestTwoHandlers keeps the promise that a second tenant handler in one request speaks for it from then on.
func TestTwoHandlers(t *testing.T) {
	app := testApp(t, acme(), globex())
	outer := testHandler(t, app, &Handler{}, subdomains())
	inner := testHandler(t, app, &Handler{}, &Query{})
	w, r := testRequest(http.MethodGet, "http://acme.app.test/?tenant=globex", nil)
	r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server).Logs = &caddyhttp.ServerLogConfig{}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	err := outer.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if got := repl.ReplaceAll("{tenant.slug}", ""); got != "acme" {
			t.Errorf("between: %s", got)
		}
		return inner.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			if got := repl.ReplaceAll("{tenant.slug}", ""); got != "globex" || r.Header.Get("X-Tenant-Slug") != "globex" {
				t.Errorf("inside: %s, header %s", got, r.Header.Get("X-Tenant-Slug"))
			}
			return nil
		}))
	}))
	if err != nil {
		t.Fatal(err)
	}
	enc := zapcore.NewMapObjectEncoder()
	if err := stateOf(r.Context()).MarshalLogObject(enc); err != nil || enc.Fields[fieldTenant] != "globex" {
		t.Errorf("log fields: %v, %v", enc.Fields, err)
	}
}

// TestLogFields keeps the promise of the fields in the access log.
func TestLogFields(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, subdomains())
	for target, want := range map[string]map[string]any{
		"http://acme.app.test/":   {fieldTenant: "acme", fieldEnvironment: "production", fieldSource: "subdomain"},
		"http://nobody.app.test/": {fieldRefusal: "tenant_not_found"},
	} {
		w, r := testRequest(http.MethodGet, target, nil)
		if err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			t.Fatal(err)
		}
		enc := zapcore.NewMapObjectEncoder()
		if err := stateOf(r.Context()).MarshalLogObject(enc); err != nil {
			t.Fatal(err)
		}
		if len(enc.Fields) != len(want) {
			t.Errorf("%s: %v", target, enc.Fields)
		}
		for name, v := range want {
			if enc.Fields[name] != v {
				t.Errorf("%s: %s is %v", target, name, enc.Fields[name])
			}
		}
	}
}

// TestNotReady keeps the promise that a request which comes before the app has started waits, but not for ever.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := testApp(t, acme())
		app.runtime.readyC = make(chan struct{})
		app.runtime.ready.Store(false)
		h := testHandler(t, app, &Handler{Exempt: []string{"/healthz"}}, subdomains())

		if _, behind := serve(t, h, http.MethodGet, "http://acme.app.test/healthz", nil); behind == nil {
			t.Error("an exempt request waits for the registry")
		}
		begin := time.Now()
		res, behind := serve(t, h, http.MethodGet, "http://acme.app.test/", nil)
		if behind != nil || res.StatusCode != 503 || time.Since(begin) != readyLimit || res.Header.Get("Retry-After") == "" {
			t.Errorf("status %d after %v, headers %v", res.StatusCode, time.Since(begin), res.Header)
		}
		go func() {
			time.Sleep(time.Second) // of the bubble's clock
			app.runtime.ready.Store(true)
			close(app.runtime.readyC)
		}()
		if res, _ := serve(t, h, http.MethodGet, "http://acme.app.test/", nil); res.StatusCode != 200 {
			t.Errorf("after the start: %d", res.StatusCode)
		}
	})
}

// TestThrottle keeps the promise that a registry that is down does not flood the log.
func TestThrottle(t *testing.T) {
	th := newThrottle(10 * time.Second)
	now := time.Unix(1000, 0)
	if _, ok := th.allow(now); !ok {
		t.Error("the first line is withheld")
	}
	for range 5 {
		if _, ok := th.allow(now.Add(9 * time.Second)); ok {
			t.Error("a second line within the interval")
		}
	}
	if n, ok := th.allow(now.Add(10 * time.Second)); !ok || n != 5 {
		t.Errorf("after the interval: %d withheld, %v", n, ok)
	}
}

// TestContradictions keeps the promise that JSON configuration is checked as the Caddyfile is.
func TestContradictions(t *testing.T) {
	for name, tt := range map[string]struct {
		h       *Handler
		sources []any
	}{
		"default not last": {&Handler{}, []any{&Default{Tenant: "acme"}, subdomains()}},
		"no proof":         {&Handler{RequireAuthenticated: true}, []any{subdomains()}},
		"no source":        {&Handler{}, nil},
		"not a source":     {&Handler{}, []any{new(App)}},
		"agreement":        {&Handler{Agreement: "maybe"}, []any{subdomains()}},
		"errors":           {&Handler{Errors: "maybe"}, []any{subdomains()}},
		"headers":          {&Handler{Headers: []string{"X-Other"}}, []any{subdomains()}},
		"exempt":           {&Handler{Exempt: []string{"healthz"}}, []any{subdomains()}},
		"reserved":         {&Handler{Reserved: []string{"a.b"}}, []any{subdomains()}},
		"rename unknown":   {&Handler{Inject: &Inject{Headers: map[string]string{"X-Color": "X"}}}, []any{subdomains()}},
		"rename database":  {&Handler{Inject: &Inject{Headers: map[string]string{"X-Tenant-Schema": "X"}}}, []any{subdomains()}},
		"rename to Host":   {&Handler{Inject: &Inject{Headers: map[string]string{"X-Tenant-ID": "host"}}}, []any{subdomains()}},
		"rename twice":     {&Handler{Inject: &Inject{Headers: map[string]string{"X-Tenant-ID": "X-Tenant_Slug"}}}, []any{subdomains()}},
	} {
		tt.h.app = testApp(t)
		tt.h.runtime = tt.h.app.runtime
		if err := tt.h.build(tt.sources); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
