package caddymodule

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

// The tenants of the handler's unit tests.
var (
	acmeID    = uuid.MustParse("0190a000-0000-7000-8000-000000000001")
	acmeProd  = uuid.MustParse("0190a000-0000-7000-8000-000000000011")
	globexID  = uuid.MustParse("0190a000-0000-7000-8000-000000000002")
	globexEnv = uuid.MustParse("0190a000-0000-7000-8000-000000000021")
)

// acme has everything that a tenant can have, except limits.
func acme() *registry.Resolved {
	r := &registry.Resolved{
		Tenant: registry.ResolvedTenant{
			ID: acmeID, Slug: "acme", Name: "Acme Corp", Plan: "pro", Status: registry.StatusActive,
			Isolation: registry.IsolationIsolatedDB, Metadata: map[string]string{"canary": "true"},
		},
		Environment: registry.ResolvedEnvironment{
			ID: acmeProd, Slug: "production", Name: "Production", Type: registry.EnvironmentProduction, Default: true,
			Status: registry.StatusActive, Region: "eu-west-1", Metadata: map[string]string{"tier": "gold"},
		},
		Upstreams: []registry.Upstream{{Scheme: "http", Address: "127.0.0.1:9001"}},
		Database:  registry.Database{Driver: "turso", Name: "acme-db", Schema: "acme_schema"},
	}
	r.Seal()
	return r
}

// globex has limits: 60 requests a minute, 2 at once; and its environment 30 a minute.
func globex() *registry.Resolved {
	r := &registry.Resolved{
		Tenant: registry.ResolvedTenant{
			ID: globexID, Slug: "globex", Name: "Globex", Plan: "free", Status: registry.StatusActive,
			Isolation: registry.IsolationSharedSchema, Quotas: registry.Quotas{APIRateLimit: 60, Burst: 2},
		},
		Environment: registry.ResolvedEnvironment{
			ID: globexEnv, Slug: "production", Type: registry.EnvironmentProduction, Default: true,
			Status: registry.StatusActive, Quotas: &registry.Quotas{APIRateLimit: 30},
		},
	}
	r.Seal()
	return r
}

// mapSource is a registry in memory: by slug, or by host.
type mapSource map[string]*registry.Resolved

func (m mapSource) Resolve(_ context.Context, ref registry.Reference) (*registry.Resolved, error) {
	res, ok := m[ref.Key]
	if !ok {
		return nil, &registry.NotFoundError{}
	}
	if ref.Environment != "" && ref.Environment != res.Environment.Slug {
		return nil, &registry.NotFoundError{Tenant: res.Tenant.ID}
	}
	return res, nil
}

func (m mapSource) Changes(context.Context, int64, int) (registry.Changes, error) {
	return registry.Changes{Oldest: 1}, nil
}

// testApp is an app over tenants in memory, started.
func testApp(tb testing.TB, tenants ...*registry.Resolved) *App {
	tb.Helper()
	src := mapSource{}
	for _, res := range tenants {
		src[res.Tenant.Slug] = res
		src[res.Tenant.Slug+".test"] = res
	}
	rt := newRuntime(cache.Options{})
	rt.cache = cache.New(src, cache.Options{})
	rt.ready.Store(true)
	close(rt.readyC)
	tb.Cleanup(rt.cancel)
	return &App{runtime: rt, logger: slog.New(slog.DiscardHandler)}
}

// testHandler builds a handler as Provision does, from sources that need no provisioning.
func testHandler(tb testing.TB, app *App, h *Handler, sources ...any) *Handler {
	tb.Helper()
	h.app, h.runtime = app, app.runtime
	h.logger, h.failures = slog.New(slog.DiscardHandler), newThrottle(failureInterval)
	if err := h.build(sources); err != nil {
		tb.Fatal(err)
	}
	return h
}

// testRequest makes a request as Caddy hands it to a handler.
func testRequest(method, target string, header http.Header) (*httptest.ResponseRecorder, *http.Request) {
	r := httptest.NewRequest(method, target, http.NoBody)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	return w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
}

// response is what a client has got.
type response struct {
	StatusCode int
	Header     http.Header
	Body       string
}

// serve runs a request through the handler and returns the response and the request that came out behind it, nil if
// none did.
func serve(tb testing.TB, h *Handler, method, target string, header http.Header) (*response, *http.Request) {
	tb.Helper()
	w, r := testRequest(method, target, header)
	var behind *http.Request
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		behind = r
		w.WriteHeader(http.StatusOK)
		return nil
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return &response{w.Code, w.Header(), w.Body.String()}, behind
}
