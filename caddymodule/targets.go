package caddymodule

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tenantgate/tenantgate/registry"
)

// pool is a named list of addresses that the configuration defines, all of one scheme.
type pool struct {
	scheme    string // "http" or "https"
	addresses []string
}

// errNoUpstream says that neither the environment, nor its tenant, nor the plan, nor the configuration names one.
var errNoUpstream = errors.New("no upstream: neither the environment, its tenant, its plan nor the default names one")

// newPools parses the pools of the configuration. A pool cannot hold a pool.
func newPools(config map[string][]string) (map[string]*pool, error) {
	pools := make(map[string]*pool, len(config))
	for name, list := range config {
		if !validName(name) {
			return nil, fmt.Errorf("pool %q: %s", name, wantName)
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("pool %s: needs at least one upstream", name)
		}
		ups, err := parseUpstreams(list)
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
		if pools[name], err = expand(ups, nil); err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
	}
	return pools, nil
}

// wantName says what names of plans and pools look like.
const wantName = "a name must be 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"

// validName reports whether name can be that of a plan or a pool, by the registry's rule for both.
func validName(name string) bool {
	u, err := registry.ParseUpstream("pool:" + name)
	return err == nil && u.Pool == name
}

// expandUpstreams parses upstreams of the configuration and replaces pools by their members; nil for none.
func expandUpstreams(list []string, pools map[string]*pool) (*pool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ups, err := parseUpstreams(list)
	if err != nil {
		return nil, err
	}
	return expand(ups, pools)
}

// expand replaces pools by their members. All addresses must share a scheme, because one attempt of a proxy chooses
// among them after the scheme is set.
func expand(ups []registry.Upstream, pools map[string]*pool) (*pool, error) {
	p := &pool{addresses: make([]string, 0, len(ups))}
	for i := range ups {
		scheme := ups[i].Scheme
		if name := ups[i].Pool; name != "" {
			member, ok := pools[name]
			if !ok {
				return nil, fmt.Errorf("there is no pool %q", name)
			}
			scheme = member.scheme
			p.addresses = append(p.addresses, member.addresses...)
		} else {
			p.addresses = append(p.addresses, ups[i].Address)
		}
		if p.scheme == "" {
			p.scheme = scheme
		} else if scheme != p.scheme {
			return nil, errors.New("http and https upstreams cannot be mixed")
		}
	}
	return p, nil
}

// upstreams returns the addresses that serve res: its own, or the configuration's default.
func (a *App) upstreams(res *registry.Resolved) (scheme string, addresses []string, err error) {
	switch {
	case len(res.Upstreams) == 1 && res.Upstreams[0].Pool != "":
		p, ok := a.pools[res.Upstreams[0].Pool]
		if !ok {
			return "", nil, fmt.Errorf("there is no pool %q", res.Upstreams[0].Pool)
		}
		return p.scheme, p.addresses, nil
	case len(res.Upstreams) > 0:
		p, err := expand(res.Upstreams, a.pools)
		if err != nil {
			return "", nil, err
		}
		return p.scheme, p.addresses, nil
	case a.fallback != nil:
		return a.fallback.scheme, a.fallback.addresses, nil
	}
	return "", nil, errNoUpstream
}

// firstUpstream returns the text form of the first address that serves res: "host:port", or "https://host:port";
// empty when there is none. It allocates only for https.
func (a *App) firstUpstream(res *registry.Resolved) string {
	scheme, address := a.firstTarget(res)
	if scheme == "https" {
		return "https://" + address
	}
	return address
}

func (a *App) firstTarget(res *registry.Resolved) (scheme, address string) {
	p := a.fallback
	if len(res.Upstreams) > 0 {
		u := &res.Upstreams[0]
		if u.Pool == "" {
			return u.Scheme, u.Address
		}
		p = a.pools[u.Pool]
	}
	if p == nil {
		return "", ""
	}
	return p.scheme, p.addresses[0]
}

// targets returns the address that serves res, one of them at random where there are several, and the others in random
// order; no scheme when there is none. It allocates only for several.
func (a *App) targets(res *registry.Resolved) (scheme, address string, others []string) {
	if len(res.Upstreams) == 1 && res.Upstreams[0].Pool == "" {
		return res.Upstreams[0].Scheme, res.Upstreams[0].Address, nil
	}
	scheme, all, err := a.upstreams(res)
	if err != nil {
		return "", "", nil
	}
	if len(all) == 1 {
		return scheme, all[0], nil
	}
	all = slices.Clone(all)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return scheme, all[0], all[1:]
}
