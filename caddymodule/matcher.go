package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
)

func init() {
	caddy.RegisterModule(&MatchTenant{})
}

// MatchTenant matches requests by their tenant and environment, once a `tenant` handler has found them. All criteria
// that are given must fit; of the values of one criterion, any. Without criteria it matches every request that has a
// tenant. A request without one (an exempt path, a route before the handler) never matches.
type MatchTenant struct {
	// ID matches the tenant's id (UUID). Default: any.
	ID []string `json:"id,omitempty"`
	// Slug matches the tenant's slug. Default: any.
	Slug []string `json:"slug,omitempty"`
	// Plan matches the name of the tenant's plan. Default: any.
	Plan []string `json:"plan,omitempty"`
	// Status matches the tenant's status. Default: any.
	Status []string `json:"status,omitempty"`
	// Environment matches the environment's slug. Default: any.
	Environment []string `json:"environment,omitempty"`
	// Type matches the environment's type: production, staging, … Default: any.
	Type []string `json:"type,omitempty"`
	// Region matches the environment's region. Default: any.
	Region []string `json:"region,omitempty"`
	// Metadata matches the tenant's metadata: each key must have one of its values. Default: any.
	Metadata map[string][]string `json:"metadata,omitempty"`
	// EnvironmentMetadata matches the environment's metadata likewise. Default: any.
	EnvironmentMetadata map[string][]string `json:"environment_metadata,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*MatchTenant) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.tenant", New: func() caddy.Module { return new(MatchTenant) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	tenant [<criterion> <values...>] {
//		<criterion> <values...>
//	}
//
// A criterion is id, slug, plan, status, environment, type, region, metadata or environment_metadata; the values of the
// last two are <key>=<value>.
func (m *MatchTenant) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() {
			if err := m.criterion(d); err != nil {
				return err
			}
		}
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if err := m.criterion(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *MatchTenant) criterion(d *caddyfile.Dispenser) error {
	name := d.Val()
	values := d.RemainingArgs()
	if len(values) == 0 {
		return d.ArgErr()
	}
	switch name {
	case "id":
		m.ID = append(m.ID, values...)
	case "slug":
		m.Slug = append(m.Slug, values...)
	case "plan":
		m.Plan = append(m.Plan, values...)
	case "status":
		m.Status = append(m.Status, values...)
	case "environment":
		m.Environment = append(m.Environment, values...)
	case "type":
		m.Type = append(m.Type, values...)
	case "region":
		m.Region = append(m.Region, values...)
	case "metadata":
		return placed(d, metadata(&m.Metadata, values))
	case "environment_metadata":
		return placed(d, metadata(&m.EnvironmentMetadata, values))
	default:
		return d.Errf("unknown criterion %q; there are id, slug, plan, status, environment, type, region, metadata and environment_metadata", name)
	}
	return placed(d, m.Validate())
}

// metadata adds values of the form key=value.
func metadata(to *map[string][]string, values []string) error {
	if *to == nil {
		*to = map[string][]string{}
	}
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		if !ok || key == "" {
			return errors.New("metadata must be written as key=value")
		}
		(*to)[key] = append((*to)[key], value)
	}
	return nil
}

// Validate implements caddy.Validator.
func (m *MatchTenant) Validate() error {
	for i, id := range m.ID {
		if id = strings.ToLower(id); !registry.CanonicalID(id) {
			return errors.New("matcher tenant: id must be a UUID")
		}
		m.ID[i] = id
	}
	return nil
}

// Match implements caddyhttp.RequestMatcher, which older callers use.
func (m *MatchTenant) Match(r *http.Request) bool {
	match, _ := m.MatchWithError(r)
	return match
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *MatchTenant) MatchWithError(r *http.Request) (bool, error) {
	st := stateOf(r.Context())
	res := st.resolved()
	if res == nil {
		return false, nil
	}
	return among(m.ID, st.tenantID()) &&
		among(m.Slug, res.Tenant.Slug) &&
		among(m.Plan, res.Tenant.Plan) &&
		among(m.Status, string(res.Tenant.Status)) &&
		among(m.Environment, res.Environment.Slug) &&
		among(m.Type, string(res.Environment.Type)) &&
		among(m.Region, res.Environment.Region) &&
		allAmong(m.Metadata, res.Tenant.Metadata) &&
		allAmong(m.EnvironmentMetadata, res.Environment.Metadata), nil
}

// among reports whether v is wanted; without any wanted value everything is.
func among(wanted []string, v string) bool { return len(wanted) == 0 || slices.Contains(wanted, v) }

// allAmong reports whether each wanted key is there with one of its wanted values.
func allAmong(wanted map[string][]string, have map[string]string) bool {
	for key, values := range wanted {
		if v, ok := have[key]; !ok || !slices.Contains(values, v) {
			return false
		}
	}
	return true
}

// Interface guards
var (
	_ caddy.Validator                   = (*MatchTenant)(nil)
	_ caddyfile.Unmarshaler             = (*MatchTenant)(nil)
	_ caddyhttp.RequestMatcher          = (*MatchTenant)(nil) //nolint:staticcheck // for older callers
	_ caddyhttp.RequestMatcherWithError = (*MatchTenant)(nil)
)
