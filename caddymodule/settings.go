package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// Registry says where the tenants are kept.
type Registry struct {
	// URL of the registry: "file:PATH" for an embedded database, or "http://", "https://", "libsql://", "ws://",
	// "wss://" for a libSQL server (sqld or Turso). Placeholders such as {env.NAME} are replaced.
	// Default: "file:" and tenantgate/tenants.db in Caddy's data directory.
	URL string `json:"url,omitempty"`
	// AuthToken is the token for a libSQL server. Placeholders are replaced, so that the token itself need not stand in
	// the configuration, which Caddy's admin endpoint shows: {env.NAME} or {file.PATH}. Default: no token.
	AuthToken string `json:"auth_token,omitempty"`
	// PollInterval is the pause between two looks at the change log; a change is served within two of them. Default: 1s.
	PollInterval caddy.Duration `json:"poll_interval,omitempty"`
	// Timeout bounds each call of the registry. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// ImportFiles lists files in the import format. A file is applied, at a start or on a reload, when it has changed since
	// it was last applied to this registry; only what differs is written. Default: none.
	ImportFiles []string `json:"import_files,omitempty"`
}

// Cache says what is kept in memory, and on disk, of the registry.
type Cache struct {
	// Size bounds the resolved tenants in memory. Default: 100000.
	Size int `json:"size,omitempty"`
	// TTL is how long a resolved tenant is served without asking the registry again. Default: 5m.
	TTL caddy.Duration `json:"ttl,omitempty"`
	// Jitter is the part of TTL, from 0 to 1, by which it is shortened at random. Default: 0.1.
	Jitter *float64 `json:"jitter,omitempty"`
	// StaleFor is how long a resolved tenant past its TTL is served while the registry cannot be reached; 0 means not
	// at all. Default: 24h.
	StaleFor *caddy.Duration `json:"stale_for,omitempty"`
	// NegativeTTL is how long an unknown tenant is remembered as unknown; 0 means not at all. Default: 10s.
	NegativeTTL *caddy.Duration `json:"negative_ttl,omitempty"`
	// NegativeSize bounds the unknown tenants in memory. Default: 10000.
	NegativeSize int `json:"negative_size,omitempty"`
	// HotSet is the file that keeps the cached tenants for a start while the registry is down; "off" means none.
	// Default: a file named after the registry, in tenantgate/ in Caddy's data directory.
	HotSet string `json:"hot_set,omitempty"`
}

// Plan is a plan that the configuration defines. It is written into the registry when the configuration's plans have changed
// since they were last written, and replaces all quotas and upstreams that the registry has for a plan of that name.
type Plan struct {
	// Name of the plan: 1 to 63 of a-z, 0-9, ".", "_" and "-".
	Name string `json:"name"`
	// RequestsPerMinute is the rate limit of each tenant on this plan. Default: no limit.
	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	// Burst is how many requests may come at once. Default: the whole minute's worth.
	Burst int64 `json:"burst,omitempty"`
	// RequestsPerDay and RequestsPerMonth are how many requests each tenant on this plan may make in a calendar day and
	// month, in UTC. Default: no limit.
	RequestsPerDay   int64 `json:"requests_per_day,omitempty"`
	RequestsPerMonth int64 `json:"requests_per_month,omitempty"`
	// Concurrency is how many requests of each tenant may be in flight at once; WebSockets and streams count while they
	// are open. Default: no limit.
	Concurrency int64 `json:"concurrency,omitempty"`
	// Upstreams serve the tenants on this plan that have none of their own: "host:port", "https://host[:port]" or
	// "pool:NAME". Default: none.
	Upstreams []string `json:"upstreams,omitempty"`
}

// hotSetOff is the value of hot_set that switches it off.
const hotSetOff = "off"

// url returns the registry's URL with placeholders replaced.
func (r *Registry) url() (string, error) {
	if r == nil || r.URL == "" {
		return "file:" + filepath.Join(caddy.AppDataDir(), "tenantgate", "tenants.db"), nil
	}
	u, err := caddy.NewReplacer().ReplaceOrErr(r.URL, true, true)
	if err != nil {
		return "", fmt.Errorf("registry url: %w", err)
	}
	return u, nil
}

// token returns the token with placeholders replaced. No error of it shows any part of the token.
func (r *Registry) token() (string, error) {
	if r == nil || r.AuthToken == "" {
		return "", nil
	}
	token, err := caddy.NewReplacer().ReplaceOrErr(r.AuthToken, true, true)
	if err != nil {
		return "", errors.New("registry auth_token: a placeholder in it is unknown or empty")
	}
	return token, nil
}

// options returns what the registry package wants to know.
func (r *Registry) options() (registry.Options, error) {
	url, err := r.url()
	if err != nil {
		return registry.Options{}, err
	}
	token, err := r.token()
	if err != nil {
		return registry.Options{}, err
	}
	o := registry.Options{URL: url, AuthToken: token}
	if r != nil {
		o.Timeout = time.Duration(r.Timeout)
	}
	return o, nil
}

// check refuses values that nothing can mean.
func (r *Registry) check() error {
	if r == nil {
		return nil
	}
	if r.PollInterval < 0 || r.Timeout < 0 {
		return errors.New("registry: poll_interval and timeout must be positive")
	}
	for i, path := range r.ImportFiles {
		if path == "" {
			return errors.New("registry: import_files holds an empty name")
		}
		if slices.Contains(r.ImportFiles[:i], path) {
			return fmt.Errorf("registry: %s is imported twice", path)
		}
	}
	return nil
}

// options returns what the cache package wants to know; the hot set's path is left to the caller.
func (c *Cache) options() cache.Options {
	if c == nil {
		return cache.Options{}
	}
	o := cache.Options{
		Size: c.Size, TTL: time.Duration(c.TTL), NegativeSize: c.NegativeSize,
		StaleFor: orNone(c.StaleFor), NegativeTTL: orNone(c.NegativeTTL),
	}
	if c.Jitter != nil {
		o.Jitter = *c.Jitter
		if o.Jitter == 0 {
			o.Jitter = -1 // the cache's way of saying "none"
		}
	}
	return o
}

// orNone translates "not given" to the cache's 0 (its default), and 0 to the cache's -1 (none).
func orNone(d *caddy.Duration) time.Duration {
	switch {
	case d == nil:
		return 0
	case *d == 0:
		return -1
	}
	return time.Duration(*d)
}

// check refuses values that nothing can mean.
func (c *Cache) check() error {
	switch {
	case c == nil:
		return nil
	case c.Size < 0 || c.NegativeSize < 0:
		return errors.New("cache: size and negative_size must be positive")
	case c.TTL < 0:
		return errors.New("cache: ttl must be positive")
	case c.StaleFor != nil && *c.StaleFor < 0 || c.NegativeTTL != nil && *c.NegativeTTL < 0:
		return errors.New("cache: stale_for and negative_ttl must not be negative")
	case c.Jitter != nil && (*c.Jitter < 0 || *c.Jitter > 1):
		return errors.New("cache: jitter must be from 0 to 1")
	}
	return nil
}

// documentPlans returns the plans in the form of an import. What a plan leaves out is removed from the registry.
func documentPlans(plans []Plan) ([]registry.DocumentPlan, error) {
	list := make([]registry.DocumentPlan, 0, len(plans))
	for i := range plans {
		p := &plans[i]
		upstreams, err := parseUpstreams(p.Upstreams)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.Name, err)
		}
		if upstreams == nil {
			upstreams = []registry.Upstream{}
		}
		list = append(list, registry.DocumentPlan{
			Name: p.Name, Quotas: p.quotas(), Upstreams: upstreams,
		})
	}
	return list, nil
}

// checkPlans refuses plans that contradict each other, name an unknown pool, or that the quota package refuses.
func checkPlans(plans []Plan, pools map[string]*pool) error {
	seen := map[string]bool{}
	for i := range plans {
		p := &plans[i]
		if !validName(p.Name) {
			return fmt.Errorf("plan %q: %s", p.Name, wantName)
		}
		if seen[p.Name] {
			return fmt.Errorf("plan %s is defined twice", p.Name)
		}
		seen[p.Name] = true
		if p.RequestsPerMinute == 0 && p.Burst != 0 {
			return fmt.Errorf("plan %s: burst without requests", p.Name)
		}
		if p.RequestsPerMinute != 0 {
			if _, err := quota.NewRate(p.RequestsPerMinute, time.Minute, p.Burst); err != nil {
				return fmt.Errorf("plan %s: %w", p.Name, err)
			}
		}
		if err := checkCounts(p.RequestsPerDay, p.RequestsPerMonth, p.Concurrency); err != nil {
			return fmt.Errorf("plan %s: %w", p.Name, err)
		}
		if _, err := expandUpstreams(p.Upstreams, pools); err != nil {
			return fmt.Errorf("plan %s: %w", p.Name, err)
		}
	}
	return nil
}

// parseUpstreams parses the text form of upstreams; nil for none.
func parseUpstreams(list []string) ([]registry.Upstream, error) {
	var ups []registry.Upstream
	for _, s := range list {
		u, err := registry.ParseUpstream(s)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: %w", s, err)
		}
		ups = append(ups, u)
	}
	return ups, nil
}

// shortHash returns a short name for text, to be part of a file's name.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
