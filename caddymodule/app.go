package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

func init() {
	caddy.RegisterModule(&App{})
	httpcaddyfile.RegisterGlobalOption("tenants", parseApp)
}

// App is the part of Tenantgate that all sites share: the registry of tenants, the cache in front of it, plans, and
// upstreams. The handler `tenant` uses it, and instantiates one with all defaults where none is configured.
//
// What the app holds in memory (resolved tenants, what was spent from quotas) survives a reload as long as the URL of
// the registry stays the same.
type App struct {
	// Registry says where the tenants are kept. Default: an embedded database in Caddy's data directory.
	Registry *Registry `json:"registry,omitempty"`
	// Cache says what is kept of the registry. Default: see there.
	Cache *Cache `json:"cache,omitempty"`
	// Plans are written into the registry at start; only what differs is written. An import file may define the same
	// plan only with the same rate, burst and upstreams. Default: none.
	Plans []Plan `json:"plans,omitempty"`
	// Pools are named lists of upstreams ("host:port" or "https://host[:port]", all of one scheme) to which an
	// environment, a tenant or a plan refers as "pool:NAME". Default: none.
	Pools map[string][]string `json:"pools,omitempty"`
	// Upstreams serve everything that has no upstream of its own: "host:port", "https://host[:port]" or "pool:NAME".
	// Default: none.
	Upstreams []string `json:"upstreams,omitempty"`
	// Context says how the token of `inject context` is signed. Default: see there.
	Context *Context `json:"context,omitempty"`
	// Domains says how the ownership of tenants' own host names is verified. Default: see there.
	Domains *Domains `json:"domains,omitempty"`

	// Secrets says which keys seal the credentials of databases. Default: none, and there are no such credentials.
	Secrets *Secrets `json:"secrets,omitempty"`

	// Quota is where quotas are counted that hold across several gateways. Default: in this process.
	Quota *Quota `json:"quota,omitempty"`

	pools    map[string]*pool
	fallback *pool
	seed     *seed
	logger   *slog.Logger

	store      *pooledStore
	storeKey   string // empty: nothing acquired
	runtime    *runtime
	runtimeKey string // empty: nothing acquired
	fleetKey   string // empty: nothing acquired
	activation *activation
	emitter    *emitter

	sessionTable *registry.SessionTable // nil: none

	signing      *signing      // nil: nobody asks for it
	signingKey   string        // empty: nothing acquired
	verification *verification // nil: not started, or off

	handlers []*Handler // of this configuration, in the order of their provisioning

	issuers []*issuer // whose keys this configuration's sources use; the sources own the references
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tenants", New: func() caddy.Module { return new(App) }}
}

// Provision acquires the registry and the runtime. It reads no file and asks no server, so that `caddy validate` can
// run it anywhere.
func (a *App) Provision(ctx caddy.Context) (err error) {
	a.logger = ctx.Slogger()
	if err := errors.Join(a.Registry.check(), a.Cache.check(), a.Domains.check(), a.Quota.check(), a.Secrets.check()); err != nil {
		return err
	}
	if a.pools, err = newPools(a.Pools); err != nil {
		return err
	}
	if a.fallback, err = expandUpstreams(a.Upstreams, a.pools); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	if err := checkPlans(a.Plans, a.pools); err != nil {
		return err
	}
	plans, err := documentPlans(a.Plans)
	if err != nil {
		return err
	}
	a.seed = &seed{plans: plans}
	if a.Registry != nil {
		a.seed.files = a.Registry.ImportFiles
	}
	if a.emitter, err = newEmitter(ctx); err != nil {
		return err
	}
	if err := a.acquire(); err != nil {
		return err
	}
	if a.Context != nil { // else when a handler asks for it
		if _, err := a.contextSigner(); err != nil {
			return err
		}
	}
	return registerMetrics(ctx.GetMetricsRegistry())
}

// acquire takes the store and the runtime from their pools.
func (a *App) acquire() error {
	o, err := a.Registry.options()
	if err != nil {
		return err
	}
	o.Logger = a.logger
	if o.Keys, err = a.Secrets.keyring(); err != nil {
		return err
	}
	store, err := registry.Open(o)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s\x00%v", store.Identity(), o.Timeout)
	val, loaded, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) { return &pooledStore{store: store}, nil })
	if loaded {
		_ = store.Close() // another configuration has it open
	}
	if err != nil {
		return err
	}
	a.store, a.storeKey = val.(*pooledStore), key

	key = registryKey(a.store.store.RedactedURL())
	val, _, err = runtimes.LoadOrNew(key, func() (caddy.Destructor, error) { return newRuntime(a.cacheOptions()).in(key), nil })
	if err != nil {
		return err
	}
	a.runtime, a.runtimeKey = val.(*runtime), key
	return nil
}

// cacheOptions returns the options of the cache with this configuration.
func (a *App) cacheOptions() cache.Options {
	o := a.Cache.options()
	if a.Registry != nil {
		o.PollInterval = time.Duration(a.Registry.PollInterval)
		o.LoadTimeout = time.Duration(a.Registry.Timeout)
	}
	switch {
	case a.Cache != nil && a.Cache.HotSet == hotSetOff:
	case a.Cache != nil && a.Cache.HotSet != "":
		o.HotSet = a.Cache.HotSet
	default:
		name := "hotset-" + shortHash(registryKey(a.store.store.RedactedURL())) + ".json"
		o.HotSet = filepath.Join(caddy.AppDataDir(), "tenantgate", name)
	}
	return o
}

// Validate checks the import files, as far as that is possible without the registry, and how Redis is reached.
func (a *App) Validate() error {
	if a.Quota != nil {
		if _, err := a.Quota.options(); err != nil {
			return err
		}
	}
	for _, path := range a.seed.files {
		if err := registry.CheckFile(path); err != nil {
			return fmt.Errorf("import %s: %w", path, err)
		}
		if err := a.checkImportedPlans(path); err != nil {
			return err
		}
	}
	return nil
}

// Start writes plans and imports into the registry and makes this configuration the one that decides.
func (a *App) Start() error {
	if err := a.signing.attach(a); err != nil {
		return err
	}
	shared, err := a.startFleet()
	if err != nil {
		return err
	}
	act := &activation{
		store: a.store, options: a.cacheOptions(), seed: a.seed, sessionTable: a.sessionTable, logger: a.logger, emitter: a.emitter,
		fleet: shared,
	}
	if err := a.runtime.activate(act); err != nil {
		return errors.Join(err, a.stopFleet())
	}
	a.activation = act
	a.verification = a.Domains.start(a)
	for _, is := range a.issuers {
		is.attach(a, a.logger.Handler())
	}
	return nil
}

// follow lets Start begin to fetch the issuer's keys: Provision is too early, because `caddy validate` runs that too.
func (a *App) follow(is *issuer) {
	if !slices.Contains(a.issuers, is) {
		a.issuers = append(a.issuers, is)
	}
}

// Stop ends what Start began. The runtime lives on while another configuration uses it.
func (a *App) Stop() error {
	a.signing.detach(a)
	a.verification.stop()
	for _, is := range a.issuers {
		is.detach(a)
	}
	if a.activation != nil {
		a.runtime.deactivate(a.activation)
		a.activation = nil
	}
	return nil
}

// Cleanup gives back what Provision acquired, and only that. Requests that are still inside a handler keep their
// references.
func (a *App) Cleanup() error {
	// Not in Stop: Caddy stops its apps in any order, and requests that come until the servers have stopped are to be decided
	// with Redis.
	err := errors.Join(a.releaseSigner(), a.stopFleet())
	if a.runtimeKey != "" {
		_, err2 := runtimes.Delete(a.runtimeKey)
		err = errors.Join(err, err2)
		a.runtimeKey = ""
	}
	if a.storeKey != "" {
		_, err2 := stores.Delete(a.storeKey)
		err = errors.Join(err, err2)
		a.storeKey = ""
	}
	return err
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
