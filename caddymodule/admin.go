package caddymodule

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

func init() {
	caddy.RegisterModule(new(AdminAPI))
}

// AdminAPI answers under /tenants on Caddy's admin endpoint: tenants and all that belongs to them, and what this gateway
// knows. The endpoint's own rules on hosts, origins and client certificates come first. Its OpenAPI document is at
// /tenants/_openapi.json.
//
// It needs no configuration, and works on the registry of whichever configuration is active.
type AdminAPI struct {
	api *adminapi.API
}

// CaddyModule returns the Caddy module information.
func (*AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.tenants", New: func() caddy.Module { return new(AdminAPI) }}
}

// Provision implements caddy.Provisioner.
func (a *AdminAPI) Provision(caddy.Context) (err error) {
	// The router outlives its configuration, so that nothing of that is used here, not even its log.
	a.api, err = adminapi.New(adminapi.Options{Backend: activeBackend, Logger: slog.New(activeLog{})})
	return err
}

// Routes implements caddy.AdminRouter. Caddy asks for them before it provisions the module.
func (a *AdminAPI) Routes() []caddy.AdminRoute {
	handler := caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		a.api.ServeHTTP(w, r)
		return nil
	})
	return []caddy.AdminRoute{{Pattern: "/tenants", Handler: handler}, {Pattern: "/tenants/", Handler: handler}}
}

var (
	errNoApp      = errors.New("the active configuration has no app tenants")
	errStoreGone  = errors.New("the configuration is being replaced")
	errNotRunning = errors.New("the app tenants has not started yet")
)

// activeApp finds the app of the active configuration: the router is provisioned before apps, and outlives a configuration
// that failed.
func activeApp() (*App, error) {
	val, err := caddy.ActiveContext().AppIfConfigured("tenants")
	if err != nil {
		return nil, errors.Join(errNoApp, err)
	}
	if app, ok := val.(*App); ok {
		return app, nil
	}
	return nil, errNoApp
}

// activeBackend is asked at each request.
func activeBackend(*http.Request) (adminapi.Backend, func(), error) {
	app, err := activeApp()
	switch {
	case err != nil:
		return adminapi.Backend{}, nil, err
	case !app.runtime.ready.Load():
		return adminapi.Backend{}, nil, errNotRunning
	case !app.store.use():
		return adminapi.Backend{}, nil, errStoreGone
	}
	return adminapi.Backend{Store: app.store.store, Live: &liveGateway{app}}, app.store.release, nil
}

// changedLimit bounds how long an answer waits for this gateway to hold what was written.
const changedLimit = 2 * time.Second

// liveGateway is what the gateway itself knows.
type liveGateway struct{ app *App }

// Changed implements adminapi.Live.
func (l *liveGateway) Changed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, changedLimit)
	defer cancel()
	_ = l.app.runtime.cache.Poll(ctx) // the loop polls again, and says what is wrong
}

// Cache implements adminapi.Live.
func (l *liveGateway) Cache() adminapi.CacheStats {
	s, o := l.app.runtime.cache.Stats(), l.app.cacheOptions()
	c := adminapi.CacheStats{
		Hits: s.Hits, StaleHits: s.StaleHits, NegativeHits: s.NegativeHits, Misses: s.Misses, Loads: s.Loads, LoadErrors: s.LoadErrors,
		Evictions: s.Evictions, Invalidations: s.Invalidations, Entries: s.Entries, NegativeEntries: s.NegativeEntries,
		Size: o.Size, NegativeSize: o.NegativeSize, LastPoll: s.LastPoll.UTC(),
	}
	if c.Size == 0 {
		c.Size = cache.DefaultSize
	}
	if c.NegativeSize == 0 {
		c.NegativeSize = cache.DefaultNegativeSize
	}
	if answered := s.Hits + s.StaleHits + s.NegativeHits; answered > 0 {
		c.HitRate = float64(answered) / float64(answered+s.Misses)
	}
	return c
}

// Purge implements adminapi.Live.
func (l *liveGateway) Purge() { l.app.runtime.cache.Purge() }

// PurgeTenant implements adminapi.Live.
func (l *liveGateway) PurgeTenant(id uuid.UUID) { l.app.runtime.cache.PurgeTenant(id) }

// activeLog is the log of the active configuration's app; without one nothing is logged.
type activeLog struct{}

func (activeLog) handler() slog.Handler {
	if app, err := activeApp(); err == nil {
		return app.logger.Handler()
	}
	return slog.DiscardHandler
}

// Enabled implements slog.Handler.
func (l activeLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l activeLog) Handle(ctx context.Context, r slog.Record) error {
	return l.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler; nobody here calls it.
func (l activeLog) WithAttrs(attrs []slog.Attr) slog.Handler { return l.handler().WithAttrs(attrs) }

// WithGroup implements slog.Handler; nobody here calls it.
func (l activeLog) WithGroup(name string) slog.Handler { return l.handler().WithGroup(name) }

// Interface guards
var (
	_ caddy.AdminRouter = (*AdminAPI)(nil)
	_ caddy.Provisioner = (*AdminAPI)(nil)
	_ slog.Handler      = activeLog{}
	_ adminapi.Live     = (*liveGateway)(nil)
	_ adminapi.Store    = (*registry.Store)(nil)
)
