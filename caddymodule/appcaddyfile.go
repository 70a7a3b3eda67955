package caddymodule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tenantgate/tenantgate/registry"
)

// parseApp parses the global option tenants. Syntax:
//
//	tenants {
//		registry [<url>] {
//			auth_token    [<token>]
//			poll_interval <duration>
//			timeout       <duration>
//			import_file   <files...>
//		}
//		cache {
//			size          <entries>
//			ttl           <duration>
//			jitter        <0..1>
//			stale_for     <duration>
//			negative_ttl  <duration>
//			negative_size <entries>
//			hot_set       <file>|off
//		}
//		domains off|{
//			verify        dns|http...
//			resolver      <address>
//			interval      <duration>
//			http_port     <port>
//			allow_private
//		}
//		plan <name> {
//			requests    <n>/s|m|h [burst <n>]
//			requests    <n>/day|month
//			concurrency <n>
//			upstream    <upstreams...>
//		}
//		pool <name> <upstreams...>
//		upstream <upstreams...>
//		quota <url> {
//			username <name>
//			password <password>
//			ca_file  <file>
//			mode     lease|exact
//			on_loss  local|allow|deny
//			timeout  <duration>
//			prefix   <prefix>
//		}
//		secrets {
//			key <id> <key>
//		}
//		context {
//			key      <files or directories...>
//			secret   <secret>
//			issuer   <name>
//			audience <names...>
//			lifetime <duration>
//			size     <tokens>
//		}
//	}
//
// The option is called import_file because Caddy expands import itself, anywhere in a Caddyfile.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("the global option tenants is given twice")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "tenants", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler; see parseApp for the syntax.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	var checks []placedCheck
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		at := *d
		switch option := d.Val(); option {
		case "registry":
			if a.Registry != nil {
				return d.Err("registry is given twice")
			}
			a.Registry = new(Registry)
			if err := a.Registry.unmarshal(d); err != nil {
				return err
			}
			checks = append(checks, placedCheck{at, a.Registry.check})
		case "cache":
			if a.Cache != nil {
				return d.Err("cache is given twice")
			}
			a.Cache = new(Cache)
			if err := a.Cache.unmarshal(d); err != nil {
				return err
			}
			checks = append(checks, placedCheck{at, a.Cache.check})
		case "domains":
			if err := a.unmarshalDomains(d); err != nil {
				return err
			}
		case "plan":
			var p Plan
			if err := p.unmarshal(d); err != nil {
				return err
			}
			if slices.ContainsFunc(a.Plans, func(other Plan) bool { return other.Name == p.Name }) {
				return at.Errf("plan %s is defined twice", p.Name)
			}
			a.Plans = append(a.Plans, p)
			checks = append(checks, placedCheck{at, func() error {
				pools, err := newPools(a.Pools)
				if err != nil {
					return nil // reported where the pool stands
				}
				return checkPlans([]Plan{p}, pools)
			}})
		case "pool":
			if err := a.unmarshalPool(d); err != nil {
				return err
			}
		case "upstream":
			if err := upstreamArgs(d, &a.Upstreams); err != nil {
				return err
			}
			checks = append(checks, placedCheck{at, func() error {
				pools, err := newPools(a.Pools)
				if err != nil {
					return nil
				}
				_, err = expandUpstreams(a.Upstreams, pools)
				return err
			}})
		case "context":
			if a.Context != nil {
				return d.Err("context is given twice")
			}
			a.Context = new(Context)
			if err := a.Context.unmarshal(d); err != nil {
				return err
			}
			checks = append(checks, placedCheck{at, a.Context.check})
		case "secrets":
			if a.Secrets != nil {
				return d.Err("secrets is given twice")
			}
			a.Secrets = new(Secrets)
			if err := a.Secrets.unmarshal(d); err != nil {
				return err
			}
		case "quota":
			if a.Quota != nil {
				return d.Err("quota is given twice")
			}
			a.Quota = new(Quota)
			if err := a.Quota.unmarshal(d); err != nil {
				return err
			}
			checks = append(checks, placedCheck{at, a.Quota.check})
		default:
			return d.Errf("unknown option %q; there are registry, cache, domains, plan, pool, upstream, context, quota and secrets", option)
		}
	}
	for i := range checks {
		if err := checks[i].check(); err != nil {
			return checks[i].at.WrapErr(err)
		}
	}
	return nil
}

// placedCheck is a check that has to wait until the whole block is read, with the place that its error names.
type placedCheck struct {
	at    caddyfile.Dispenser
	check func() error
}

func (r *Registry) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.ArgErr()
	}
	if len(args) == 1 {
		r.URL = args[0]
		if !strings.Contains(r.URL, "{") { // placeholders are replaced at start
			if s, err := registry.Open(registry.Options{URL: r.URL}); err != nil {
				return d.WrapErr(err)
			} else if err := s.Close(); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option != "import_file" {
			if given[option] {
				return d.Errf("%s is given twice", option)
			}
			given[option] = true
		}
		switch option {
		case "auth_token":
			// No token at all is allowed, so that auth_token {$TENANT_REGISTRY_TOKEN} works where the variable is unset.
			if d.NextArg() {
				r.AuthToken = d.Val()
			}
			if d.NextArg() {
				return d.Err("auth_token takes one token")
			}
		case "poll_interval":
			if err := positiveDuration(d, &r.PollInterval); err != nil {
				return err
			}
		case "timeout":
			if err := positiveDuration(d, &r.Timeout); err != nil {
				return err
			}
		case "import_file":
			files := d.RemainingArgs()
			if len(files) == 0 {
				return d.ArgErr()
			}
			for _, f := range files {
				if slices.Contains(r.ImportFiles, f) {
					return d.Errf("%s is imported twice", f)
				}
				r.ImportFiles = append(r.ImportFiles, f)
			}
		default:
			return d.Errf("unknown option %q; there are auth_token, poll_interval, timeout and import_file", option)
		}
	}
	return nil
}

func (c *Cache) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		var err error
		switch option {
		case "size":
			err = positiveInt(d, &c.Size)
		case "negative_size":
			err = positiveInt(d, &c.NegativeSize)
		case "ttl":
			err = positiveDuration(d, &c.TTL)
		case "stale_for":
			c.StaleFor = new(caddy.Duration)
			err = duration(d, c.StaleFor)
		case "negative_ttl":
			c.NegativeTTL = new(caddy.Duration)
			err = duration(d, c.NegativeTTL)
		case "jitter":
			var text string
			if text, err = oneArg(d); err != nil {
				return err
			}
			f, parseErr := strconv.ParseFloat(text, 64)
			if parseErr != nil || !(f >= 0 && f <= 1) {
				return d.Errf("jitter must be a number from 0 to 1, not %q", text)
			}
			c.Jitter = &f
		case "hot_set":
			c.HotSet, err = oneArg(d)
		default:
			return d.Errf("unknown option %q; there are size, ttl, jitter, stale_for, negative_ttl, negative_size and hot_set", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) unmarshal(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&p.Name) {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "requests":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			if err := p.requests(args); err != nil {
				return d.WrapErr(err)
			}
		case "upstream":
			if err := upstreamArgs(d, &p.Upstreams); err != nil {
				return err
			}
		case "concurrency":
			if p.Concurrency != 0 {
				return d.Err("concurrency is given twice")
			}
			text, err := oneArg(d)
			if err != nil {
				return err
			}
			if p.Concurrency, err = parseConcurrency(text); err != nil {
				return d.WrapErr(err)
			}
		default:
			return d.Errf("unknown option %q; there are requests, concurrency and upstream", option)
		}
	}
	return nil
}

func (a *App) unmarshalPool(d *caddyfile.Dispenser) error {
	at := *d
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	name, list := args[0], args[1:]
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "upstream" {
			return d.Errf("unknown option %q; there is upstream", d.Val())
		}
		more := d.RemainingArgs()
		if len(more) == 0 {
			return d.ArgErr()
		}
		list = append(list, more...)
	}
	if _, dup := a.Pools[name]; dup {
		return at.Errf("pool %s is defined twice", name)
	}
	pool := map[string][]string{name: list}
	if _, err := newPools(pool); err != nil {
		return at.WrapErr(err)
	}
	if a.Pools == nil {
		a.Pools = pool
	} else {
		a.Pools[name] = list
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
