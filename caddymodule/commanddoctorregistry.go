package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// clockTolerance is how far the registry's clock may be off: sessions and subscriptions end by this machine's.
	clockTolerance = 2 * time.Second
	// slowRegistry is the answer of a registry from which on a cold tenant feels it.
	slowRegistry = 250 * time.Millisecond
	// maxNamed is how many of a kind a finding names.
	maxNamed = 10
	// maxPending is how many claimed host names are looked at.
	maxPending = 1000
)

// registry looks at the registry, and at what is in it where that can be read.
func (d *doctor) registry(ctx context.Context, store *registry.Store, connect bool) {
	url := store.RedactedURL()
	if missingFile(url) {
		d.add(findingError, "registry", "start the gateway once, or use tenantgate tenant import: either makes it", "%s does not exist", url)
		return
	}
	i, err := store.Inspect(ctx)
	if err != nil {
		advice := "check that the server runs and can be reached from here"
		if errors.Is(err, registry.ErrUnauthorized) {
			advice = "give the right token with --auth-token-file, TENANT_REGISTRY_TOKEN or auth_token"
		}
		d.add(findingError, "registry", advice, "%v", err)
		return
	}
	level, advice := findingOK, ""
	if i.RoundTrip > slowRegistry {
		level, advice = findingWarning, "a tenant that is not in the cache waits that long: bring registry and gateway closer together"
	}
	d.add(level, "registry", advice, "%s answers within %s", url, max(i.RoundTrip.Round(time.Millisecond), time.Millisecond))
	if off := i.Ahead.Abs(); off > clockTolerance+i.RoundTrip {
		d.add(findingError, "clock", "synchronise both machines by NTP: ends of sessions, keys and subscriptions depend on it",
			"the registry's clock is off by %s", i.Ahead.Round(time.Millisecond))
	} else {
		d.add(findingOK, "clock", "", "the registry's clock agrees with this machine's")
	}
	switch {
	case i.Schema > i.Known:
		d.add(findingError, "schema", "use the Tenantgate that made it, or a newer one", "version %d is newer than this binary, which knows %d", i.Schema, i.Known)
		return
	case i.Schema < i.Known:
		d.add(findingError, "schema", "the next start of a gateway of this version brings it up to date",
			"version %d, and this binary wants %d", i.Schema, i.Known)
		return
	}
	d.add(findingOK, "schema", "", "version %d", i.Schema)
	if err := store.Migrate(ctx); err != nil { // it is up to date, so that this only reads
		d.add(findingError, "registry", "look again in a moment", "%v", err)
		return
	}
	d.content(ctx, store, connect)
}

// content looks at what is in the registry.
func (d *doctor) content(ctx context.Context, store *registry.Store, connect bool) {
	c := &census{plans: map[string][]string{}, pools: map[string]string{}, addresses: map[string]string{}}
	if err := c.take(ctx, store, d.bar); err != nil {
		d.add(findingError, "registry", "look again in a moment", "reading it: %v", err)
		return
	}
	pending, err := store.PendingDomains(ctx, maxPending)
	if err != nil {
		d.add(findingError, "domains", "look again in a moment", "%v", err)
		return
	}
	d.plans(c)
	d.upstreamNames(c)
	d.domains(pending)
	d.secrets(ctx, store)
	if connect {
		d.upstreams(ctx, c)
	}
}

func (d *doctor) plans(c *census) {
	var missing []string
	for name := range c.wanted {
		if _, ok := c.plans[name]; !ok && !d.config.defines(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		d.add(findingWarning, "plans", "tenantgate plan create NAME, or a plan in the Caddyfile: till then these tenants have no limits of a plan",
			"nobody defines %s", some(missing))
		return
	}
	d.add(findingOK, "plans", "", "%d plans, and every tenant's is among them", len(c.plans))
}

func (d *doctor) upstreamNames(c *census) {
	if d.config != nil {
		var missing []string
		for pool, who := range c.pools {
			if _, ok := d.config.Apps.Tenants.Pools[pool]; !ok {
				missing = append(missing, pool+" of "+who)
			}
		}
		if len(missing) > 0 {
			d.add(findingError, "pools", "define them in the Caddyfile with: pool NAME UPSTREAM…", "the configuration does not define %s", some(missing))
		} else {
			d.add(findingOK, "pools", "", "the configuration defines every pool that is named")
		}
		if len(d.config.Apps.Tenants.Upstreams) > 0 {
			c.bare = nil // the configuration's serve them
		}
	}
	if len(c.bare) > 0 {
		d.add(findingWarning, "tenants", "tenantgate tenant update TENANT --upstream HOST:PORT, or an upstream for the plan or for all in the Caddyfile",
			"no upstream for %s", some(c.bare))
		return
	}
	d.add(findingOK, "tenants", "", "%d tenants with %d environments, and every active one has an upstream", c.tenants, c.environments)
}

func (d *doctor) domains(pending []registry.Domain) {
	if len(pending) == 0 {
		d.add(findingOK, "domains", "", "none is waiting for its proof")
		return
	}
	var names []string
	for i := range pending {
		names = append(names, pending[i].Hostname)
	}
	d.add(findingNote, "domains", "their owners have to publish the token of the claim; an operator may vouch for them instead",
		"not verified yet: %s", some(names))
}

// defines reports whether the configuration defines a plan.
func (c *gatewayConfig) defines(plan string) bool {
	return c != nil && slices.ContainsFunc(c.Apps.Tenants.Plans, func(p Plan) bool { return p.Name == plan })
}

// some names the first of a list, and how many more there are.
func some(list []string) string {
	slices.Sort(list)
	if len(list) <= maxNamed {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), len(list)-maxNamed)
}

// maxAddresses bounds the upstreams that are connected to, and maxBare the environments without one that are counted.
const maxAddresses, maxBare = 1000, 100_000

// census is what a doctor wants to know of all tenants.
type census struct {
	tenants, environments int
	// plans are the upstreams of the plans that the registry has.
	plans  map[string][]string
	wanted map[string]bool
	// pools and addresses are named as upstreams, each with one who does so.
	pools, addresses map[string]string
	// bare are active environments without any upstream.
	bare []string
}

// censusPlan and censusTenant are what is read of an export.
type censusPlan struct {
	Name      string   `json:"name"`
	Upstreams []string `json:"upstreams"`
}

type censusTenant struct {
	Slug         string   `json:"slug"`
	Plan         string   `json:"plan"`
	Status       string   `json:"status"`
	Upstreams    []string `json:"upstreams"`
	Environments []struct {
		Slug      string   `json:"slug"`
		Status    string   `json:"status"`
		Upstreams []string `json:"upstreams"`
	} `json:"environments"`
}

// take goes once over an export of the registry, record by record.
func (c *census) take(ctx context.Context, store *registry.Store, bar *progressBar) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := store.Export(ctx, w)
		exported <- err
		_ = w.CloseWithError(err) // never fails
	}()
	c.wanted = map[string]bool{}
	err := c.read(json.NewDecoder(r), bar)
	_ = r.CloseWithError(io.ErrClosedPipe) // never fails; lets the export end
	if exportErr := <-exported; exportErr != nil && (err == nil || !errors.Is(exportErr, io.ErrClosedPipe)) {
		return exportErr
	}
	return err
}

func (c *census) read(dec *json.Decoder, bar *progressBar) error {
	if err := delim(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := delim(dec, '['); err != nil {
			return err
		}
		for dec.More() {
			if key == "plans" {
				var p censusPlan
				if err := dec.Decode(&p); err != nil {
					return err
				}
				c.plans[p.Name] = p.Upstreams
				c.note(p.Upstreams, "plan "+p.Name)
				continue
			}
			var t censusTenant
			if err := dec.Decode(&t); err != nil {
				return err
			}
			c.tenant(&t)
			bar.show(registry.ImportProgress{Phase: "reading", Tenants: int64(c.tenants), Environments: int64(c.environments)})
		}
		if err := delim(dec, ']'); err != nil {
			return err
		}
	}
	return delim(dec, '}')
}

// tenant takes one tenant in. The plans come before the tenants.
func (c *census) tenant(t *censusTenant) {
	c.tenants++
	c.environments += len(t.Environments)
	c.wanted[t.Plan] = true
	c.note(t.Upstreams, t.Slug)
	for _, e := range t.Environments {
		who := t.Slug + "/" + e.Slug
		c.note(e.Upstreams, who)
		active := t.Status == string(registry.StatusActive) && e.Status == string(registry.StatusActive)
		if active && len(e.Upstreams)+len(t.Upstreams)+len(c.plans[t.Plan]) == 0 && len(c.bare) < maxBare {
			c.bare = append(c.bare, who)
		}
	}
}

// note keeps the pools and addresses of somebody's upstreams.
func (c *census) note(upstreams []string, who string) {
	for _, text := range upstreams {
		u, err := registry.ParseUpstream(text)
		switch {
		case err != nil: // the registry's own rules forbid it
		case u.Pool != "":
			c.pools[u.Pool] = who
		case c.addresses[u.Address] != "" || len(c.addresses) < maxAddresses:
			c.addresses[u.Address] = who
		}
	}
}
